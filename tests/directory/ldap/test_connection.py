"""One LDAP connection, with a server that says what it likes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred
from sansldap import (
    ExtendedResponse,
    FilterPresent,
    LDAPResult,
    LDAPResultCode,
    LDAPServer,
    SearchScope,
)
from twisted.internet.testing import StringTransport

from mailhive.directory.ldap.connection import LdapConnection, ServerFailed, frame_length
from mailhive.errors import TemporaryFailure


class Transport(StringTransport):
    """Ends at once when it is told to."""

    tls = None

    def abortConnection(self):
        self.loseConnection()

    def startTLS(self, options):
        self.tls = options


class Bench:
    """A connection, and the other end of it as `server`."""

    def __init__(self, largest=10_000):
        self.server = LDAPServer()
        self.transport = Transport()
        self.connection = LdapConnection(largest)
        self.connection.makeConnection(self.transport)

    def asked(self):
        """What was sent."""
        octets = self.transport.value()
        self.transport.clear()
        return self.server.receive(octets) if octets else []

    def say(self, octets=None):
        """What the server has to send, or these octets."""
        self.connection.dataReceived(self.server.data_to_send() if octets is None else octets)

    def search(self):
        deferred = self.connection.search(
            "dc=x", SearchScope.SUBTREE, FilterPresent("uid"), ["uid"]
        )
        [request] = self.asked()
        return deferred, request.message_id

    def is_cut(self):
        return self.transport.disconnecting and not self.connection.is_usable


def failed(deferred):
    """What it failed with."""
    seen = []
    deferred.addBoth(seen.append)
    [result] = seen
    return result.value


def entry(server, message_id, name="uid=a,dc=x"):
    server.search_result_entry(message_id, name, attributes=[])


def answer(bench, message_id, count):
    for number in range(count):
        entry(bench.server, message_id, f"uid={number},dc=x")
    bench.server.search_result_done(message_id)
    return bench.server.data_to_send()


@given(st.lists(st.integers(1, 200), max_size=20))
def test_answers_cut_anywhere(cuts):
    bench = Bench()
    deferred, number = bench.search()
    octets = answer(bench, number, 5)
    for cut in cuts:
        bench.say(octets[:cut])
        octets = octets[cut:]
    bench.say(octets)
    found = deferred.result
    assert [e.object_name for e in found.entries] == [f"uid={n},dc=x" for n in range(5)]
    assert found.result.is_success
    assert bench.connection.is_usable


@given(st.binary(max_size=300))
def test_whatever_is_sent_is_an_answer_or_the_end(octets):
    bench = Bench()
    deferred, _ = bench.search()
    bench.say(octets)
    assert bench.is_cut() or not deferred.called
    deferred.addErrback(lambda _: None)


@given(st.data())
def test_answers_with_wrong_octets(data):
    bench = Bench()
    deferred, number = bench.search()
    octets = bytearray(answer(bench, number, 2))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    bench.say(bytes(octets))
    assert bench.is_cut() or deferred.called or bench.connection._waiting is not None
    deferred.addErrback(lambda _: None)


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (b"", None),
        (b"0", None),
        (b"0\x05", 7),
        (b"0\x81", None),
        (b"0\x81\x80", 131),
        (b"0\x84\x00\x00\x00", None),
        (b"0\x84\x00\x00\x00\x01", 7),
        (b"0\x84\xff\xff\xff\xff", 2**32 + 5),
    ],
)
def test_lengths(start, length):
    # RFC 4511 §5.1
    assert frame_length(start) == length


@pytest.mark.parametrize("start", [b"\x31", b"GET / HTTP", b"0\x80", b"0\x85\x00", b"0\xff"])
def test_what_begins_no_message(start):
    with pytest.raises(ValueError, match="message"):
        frame_length(start)


@pytest.mark.parametrize("octets", [b"0\x84\x7f\xff\xff\xff", b"0\x82\x27\x10" + b"x" * 9_000])
def test_a_message_that_is_too_long_is_not_waited_for(octets):
    bench = Bench(largest=5_000)
    deferred, _ = bench.search()
    bench.say(octets)
    error = failed(deferred)
    assert isinstance(error, TemporaryFailure) and not isinstance(error, ServerFailed)
    assert bench.is_cut()


def test_an_answer_of_many_messages_that_is_too_long():
    bench = Bench(largest=1_000)
    deferred, number = bench.search()
    bench.say(answer(bench, number, 100))
    assert isinstance(failed(deferred), TemporaryFailure)
    assert bench.is_cut()
    assert len(bench.connection._buffer) < 10_000


@pytest.mark.parametrize(("dn", "password"), [("", "x"), ("cn=x", ""), ("", "")])
def test_no_bind_without_a_name_and_a_password(dn, password):
    # RFC 4513 §5.1.2
    bench = Bench()
    with pytest.raises(ValueError, match="bind"):
        bench.connection.bind(dn, password)
    assert bench.asked() == []


def test_binding():
    bench = Bench()
    unknown = LDAPResultCode(4096)  # RFC 4511 §4.1.9: there may be more
    for code in (LDAPResultCode.INVALID_CREDENTIALS, unknown, LDAPResultCode.SUCCESS):
        deferred = bench.connection.bind("cn=x", "pässword")
        [request] = bench.asked()
        assert (request.name, request.authentication.password) == ("cn=x", "pässword")
        bench.server.bind_response(request.message_id, result_code=code)
        bench.say()
        assert deferred.result.code == code.value
        assert deferred.result.is_success is (code is LDAPResultCode.SUCCESS)
    assert bench.connection.is_usable


def test_an_answer_of_another_kind():
    bench = Bench()
    deferred = bench.connection.bind("cn=x", "x")
    [request] = bench.asked()
    result = LDAPResult(LDAPResultCode.SUCCESS, "", "")
    other = ExtendedResponse(request.message_id, [], result, None, None)
    bench.say(bytes(other.pack(bench.server._packing_options)))
    assert isinstance(failed(deferred), ServerFailed)


def test_what_was_not_asked_for():
    bench = Bench()
    deferred, number = bench.search()
    octets = answer(bench, number, 1)
    bench.say(octets)
    assert deferred.called and bench.connection.is_usable
    bench.say(octets)
    assert bench.is_cut()


def test_a_server_that_takes_its_leave():
    bench = Bench()
    # RFC 4511 §4.4.1: the Notice of Disconnection
    result = LDAPResult(LDAPResultCode.UNAVAILABLE, "", "going down")
    notice = ExtendedResponse(0, [], result, "1.3.6.1.4.1.1466.20036", None)
    bench.say(bytes(notice.pack(bench.server._packing_options)))
    assert bench.is_cut()


def starting_tls():
    bench = Bench()
    options = object()
    deferred = bench.connection.start_tls(options)
    [request] = bench.asked()
    assert request.name == "1.3.6.1.4.1.1466.20037"
    return bench, deferred, request, options


def test_starttls_is_done_when_the_handshake_is():
    bench, deferred, request, options = starting_tls()
    done = []
    deferred.addCallback(done.append)
    bench.server.extended_response(request.message_id)
    bench.say()
    assert bench.transport.tls is options
    assert not done
    assert not bench.connection.is_usable
    bench.connection.handshakeCompleted()
    assert done
    assert bench.connection.is_usable


@pytest.mark.parametrize("code", [LDAPResultCode.PROTOCOL_ERROR, 4096])
def test_starttls_that_is_refused(code):
    bench, deferred, request, _ = starting_tls()
    result = LDAPResult(LDAPResultCode.PROTOCOL_ERROR, "", "")
    message = ExtendedResponse(request.message_id, [], result, None, None)
    octets = bytes(message.pack(bench.server._packing_options))
    if code == 4096:
        # RFC 4511 §4.1.9: there may be codes that nobody knows
        octets = octets.replace(b"\x0a\x01\x02", b"\x0a\x02\x10\x00")
        octets = bytes([octets[0], octets[1] + 1, *octets[2:6], octets[6] + 1, *octets[7:]])
    bench.say(octets)
    assert bench.transport.tls is None
    assert isinstance(failed(deferred), ServerFailed)


def test_what_is_slipped_in_behind_starttls():
    """Or somebody on the way could answer what is asked inside of TLS."""
    bench, deferred, request, _ = starting_tls()
    bench.server.extended_response(request.message_id)
    bench.say(bench.server.data_to_send() + b"0\x0c")
    assert bench.transport.tls is None
    assert bench.is_cut()
    bench.connection.connectionLost()
    assert isinstance(failed(deferred), ServerFailed)


@ensureDeferred
async def test_the_end_of_the_connection():
    bench = Bench()
    deferred, _ = bench.search()
    closed = bench.connection.closed()
    bench.connection.connectionLost()
    assert isinstance(failed(deferred), ServerFailed)
    await closed
    await bench.connection.closed()
    assert isinstance(failed(bench.connection.bind("cn=x", "x")), ServerFailed)


def test_giving_up_ends_the_connection():
    bench = Bench()
    deferred, number = bench.search()
    deferred.addErrback(lambda _: None)
    deferred.cancel()
    assert bench.is_cut()
    bench.say(answer(bench, number, 1))  # nobody waits for it
    bench.connection.connectionLost()


def test_taking_leave():
    bench = Bench()
    bench.connection.close()
    assert bench.transport.value()[-2:] == b"\x42\x00"  # RFC 4511 §4.3
    assert bench.is_cut()

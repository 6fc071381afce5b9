"""Connections on strings and a clock: time, flow control, limits, the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from mailhive.errors import TemporaryFailure
from mailhive.jmap.limits import Limits
from mailhive.model.arrival import PLAIN
from mailhive.model.envelope import RecipientOutcome
from mailhive.smtp import replies
from mailhive.smtp.listener import DRAIN_TIMEOUT
from mailhive.smtp.protocol import LINGER
from mailhive.testing.memory import MemoryDelivery

HELLO = b"EHLO c.example\r\n"
OPEN = HELLO + b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n"
MESSAGE = OPEN + b"DATA\r\nSubject: x\r\n\r\ntext\r\n.\r\n"


def last(transport) -> str:
    return transport.value().decode().split("\r\n")[-2]


class SlowDelivery(MemoryDelivery):
    """Delivery whose answers come when the test says so."""

    def __init__(self, addresses):
        super().__init__(addresses)
        self.waiting = []

    def _later(self, answer):
        gate = Deferred()
        gate.addCallback(lambda _: answer)
        self.waiting.append(gate)
        return gate

    def check_recipient(self, address, size=None):
        return self._later(super().check_recipient(address, size))

    def deliver(self, envelope, blob_id, arrival=PLAIN):
        return self._later(super().deliver(envelope, blob_id, arrival))

    def go_on(self):
        self.waiting.pop(0).callback(None)


@pytest.fixture
def slow(new_bench):
    bench = new_bench()
    bench.services.delivery = SlowDelivery(["b@mx.example"])
    return bench


def test_a_message_is_stored_with_its_trace(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    protocol.dataReceived(MESSAGE)
    assert last(transport) == "250 2.0.0 Message accepted"
    (delivered,) = bench.services.delivery.delivered
    content = bench.services.blobs._blobs[delivered.blob_id].content
    lines = content.split(b"\r\n")
    assert lines[0] == b"Return-Path: <a@c.example>"
    assert lines[1] == b"Received: from c.example ([192.0.2.1])"
    assert lines[2].startswith(b"\tby mx.example with ESMTP id ")
    assert lines[3] == b"\tfor <b@mx.example>; Thu, 01 Jan 1970 00:00:00 +0000"
    assert lines[4:] == [b"Subject: x", b"", b"text", b""]


def test_input_waits_while_an_answer_is_due(slow):
    protocol, transport = slow.connect()
    protocol.dataReceived(MESSAGE + b"QUIT\r\n")
    assert transport.producerState == "paused"
    assert last(transport) == "250 2.1.0 Sender OK"
    slow.services.delivery.go_on()
    assert transport.producerState == "paused"  # the delivery is due now
    assert last(transport).startswith("354")
    slow.clock.advance(1000)  # our own time is not the peer's
    assert transport.connected
    slow.services.delivery.go_on()
    assert last(transport) == "221 2.0.0 Bye"
    assert not transport.connected


def test_input_resumes(slow):
    protocol, transport = slow.connect()
    protocol.dataReceived(OPEN)
    slow.services.delivery.go_on()
    assert transport.producerState == "producing"


def test_a_peer_that_takes_no_replies_is_not_read(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    protocol.pauseProducing()
    assert transport.producerState == "paused"
    before = transport.value()
    protocol.dataReceived(HELLO)
    assert transport.value() == before
    protocol.resumeProducing()
    assert transport.producerState == "producing"
    assert transport.value() != before


def test_a_peer_that_never_takes_replies_is_cut(new_bench):
    bench = new_bench(command_timeout=10.0)
    protocol, transport = bench.connect()
    protocol.pauseProducing()
    bench.clock.advance(11)
    assert transport.aborted


@pytest.mark.parametrize("sent", [b"", b"EHL", HELLO, OPEN])
def test_silence_is_answered_with_421(new_bench, sent):
    bench = new_bench(command_timeout=10.0)
    protocol, transport = bench.connect()
    protocol.dataReceived(sent)
    bench.clock.advance(9)
    assert transport.connected
    bench.clock.advance(2)
    assert last(transport) == str(replies.TIMED_OUT)
    assert not transport.connected


def test_a_command_that_comes_drop_by_drop_has_the_time_of_one_command(new_bench):
    bench = new_bench(command_timeout=10.0)
    protocol, transport = bench.connect()
    for _ in range(4):
        bench.clock.advance(3)
        protocol.dataReceived(b"x")
    assert last(transport) == str(replies.TIMED_OUT)


def test_content_has_a_time_of_its_own(new_bench):
    bench = new_bench(command_timeout=10.0, data_timeout=100.0)
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"DATA\r\nx")
    bench.clock.advance(99)
    protocol.dataReceived(b"x")
    bench.clock.advance(99)
    assert transport.connected
    bench.clock.advance(2)
    assert last(transport) == str(replies.TIMED_OUT)
    assert not bench.services.blobs.open_writers
    assert not bench.services.blobs._blobs


def test_no_connection_lives_for_ever(new_bench):
    bench = new_bench(session_timeout=100.0)
    protocol, transport = bench.connect()
    for _ in range(11):
        bench.clock.advance(10)
        protocol.dataReceived(b"NOOP\r\n")
    assert last(transport) == str(replies.TIMED_OUT)
    assert not bench.clock.getDelayedCalls()


def test_a_peer_that_does_not_leave_is_cut(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    transport.loseConnection = lambda: None
    protocol.dataReceived(b"QUIT\r\n")
    del transport.loseConnection
    assert transport.connected
    bench.clock.advance(LINGER + 1)
    assert transport.aborted


def test_a_connection_lost_in_a_message_leaves_nothing(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"DATA\r\nhalf of it")
    assert bench.services.blobs.open_writers
    with capturedLogs() as logs:
        transport.loseConnection()
    assert not bench.services.blobs.open_writers
    assert [event["outcome"] for event in logs] == ["abandoned"]
    assert not bench.clock.getDelayedCalls()


def test_a_connection_lost_while_an_answer_is_due(slow):
    protocol, transport = slow.connect()
    protocol.dataReceived(MESSAGE)
    slow.services.delivery.go_on()
    transport.loseConnection()
    slow.services.delivery.go_on()
    assert len(slow.services.delivery.delivered) == 1
    protocol, transport = slow.connect()
    protocol.dataReceived(MESSAGE)
    transport.loseConnection()
    slow.services.delivery.go_on()
    assert not slow.services.blobs.open_writers


def test_half_closed_peers_get_their_replies(slow):
    protocol, transport = slow.connect()
    protocol.dataReceived(MESSAGE)
    slow.services.delivery.go_on()
    protocol.readConnectionLost()
    slow.services.delivery.go_on()
    assert last(transport) == "250 2.0.0 Message accepted"
    assert not transport.connected


# Limits of connections


def test_connections_are_limited(new_bench):
    bench = new_bench(max_connections=2, max_connections_per_address=1)
    _, transport = bench.connect("192.0.2.1")
    _, refused = bench.connect("192.0.2.1")
    assert refused.value() == replies.TOO_MANY_CONNECTIONS.to_bytes()
    assert not refused.connected
    bench.connect("2001:db8::1")
    assert bench.connect("192.0.2.3")[1].value().startswith(b"421")
    transport.loseConnection()
    assert bench.connect("2001:db8::2")[1].value().startswith(b"421")  # the same /64
    assert bench.connect("2001:db8:0:1::2")[1].value().startswith(b"220")


@pytest.mark.parametrize(("own", "shared", "limit"), [(2000, 1500, 1500), (1500, 2000, 1500)])
def test_the_smaller_size_limit_counts(new_bench, own, shared, limit):
    bench = new_bench(limits=Limits(email_size=shared), max_message_size=own)
    protocol, transport = bench.connect()
    protocol.dataReceived(HELLO)
    assert b"SIZE %d\r\n" % limit in transport.value()


# What can go wrong with a message


def deliver(bench, recipients=("b@mx.example", "c@mx.example"), body=b"Subject: x\r\n\r\n"):
    protocol, transport = bench.connect()
    protocol.dataReceived(HELLO + b"MAIL FROM:<a@c.example>\r\n")
    for recipient in recipients:
        protocol.dataReceived(b"RCPT TO:<" + recipient.encode() + b">\r\n")
    protocol.dataReceived(b"DATA\r\n")
    protocol.dataReceived(body + b".\r\n")
    return last(transport)


def outcome(recipient, code, text="x"):
    return RecipientOutcome(recipient, code, f"{code // 100}.2.0", text)


@pytest.mark.parametrize(
    ("codes", "reply", "kept"),
    [
        ((250, 250), "250 2.0.0", 1),
        ((250, 452), "452 4.2.0", 1),
        ((452, 250), "452 4.2.0", 1),
        ((550, 250), "550 5.2.0", 1),
        ((550, 452), "452 4.2.0", 0),
        ((552, 550), "552 5.2.0", 0),
        ((451, 452), "451 4.2.0", 1),  # nobody may know whether it is in an account
    ],
)
def test_one_reply_for_all_recipients(new_bench, codes, reply, kept):
    bench = new_bench()
    recipients = ("b@mx.example", "c@mx.example")
    bench.services.delivery.outcomes = {
        r: outcome(r, code) for r, code in zip(recipients, codes, strict=True)
    }
    assert deliver(bench).startswith(reply)
    assert len(bench.services.blobs._blobs) == kept


def test_ten_recipients_are_one_blob(new_bench):
    bench = new_bench()
    names = [f"n{n}@mx.example" for n in range(10)]
    bench.services.delivery.addresses = frozenset(names)
    assert deliver(bench, names).startswith("250")
    assert len(bench.services.blobs._blobs) == 1
    (delivered,) = bench.services.delivery.delivered
    assert delivered.envelope.recipients == tuple(names)
    assert b"for <" not in bench.services.blobs._blobs[delivered.blob_id].content


def test_who_has_no_room_does_not_keep_it_from_others(new_bench):
    bench = new_bench()
    bench.services.delivery.full = frozenset({"full@mx.example"})
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"RCPT TO:<full@mx.example>\r\n")
    assert last(transport) == "452 4.2.2 No room"
    protocol.dataReceived(b"DATA\r\nx\r\n.\r\n")
    assert last(transport).startswith("250")
    (delivered,) = bench.services.delivery.delivered
    assert delivered.envelope.recipients == ("b@mx.example",)


def test_a_commit_that_fails_is_our_fault(new_bench):
    bench = new_bench()
    bench.services.blobs.full = True
    with capturedLogs() as logs:
        assert deliver(bench).startswith("451 4.3.0")
    assert not bench.services.delivery.delivered
    assert not bench.services.blobs.open_writers
    (event,) = logs
    assert event["log_level"].name == "warn"
    assert event["cause"] == "no space left"


def test_a_delivery_that_fails_is_our_fault(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"DATA\r\n")
    bench.services.delivery.available = False
    protocol.dataReceived(b"x\r\n.\r\n")
    assert last(transport).startswith("451 4.3.0")


def test_a_directory_that_fails_is_our_fault(new_bench):
    bench = new_bench()
    bench.services.delivery.available = False
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN)
    assert last(transport).startswith("451 4.3.0")


class BrokenWriter:
    size = 0

    def __init__(self, error, after):
        self.error = error
        self.after = after
        self.aborted = False

    def write(self, data):
        self.after -= 1
        if self.after < 0:
            raise self.error

    def abort(self):
        self.aborted = True


@pytest.mark.parametrize("error", [TemporaryFailure("disk"), OSError("disk"), KeyError("bug")])
@pytest.mark.parametrize("after", [0, 1])
def test_a_write_that_fails_is_our_fault(new_bench, error, after):
    bench = new_bench()
    writer = BrokenWriter(error, after)
    bench.services.blobs.open_writer = lambda: writer
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"BDAT 3 LAST\r\nx\r\n")
    assert last(transport).startswith("451 4.3.0")
    assert "disk" not in last(transport)
    assert writer.aborted
    protocol.dataReceived(b"NOOP\r\n")
    assert last(transport) == "250 2.0.0 OK"


def test_a_bug_of_ours_shows_no_traceback(new_bench):
    class Buggy(MemoryDelivery):
        def deliver(self, envelope, blob_id, arrival=PLAIN):
            return 1 / 0

    bench = new_bench()
    bench.services.delivery = Buggy(["b@mx.example", "c@mx.example"])
    with capturedLogs() as logs:
        assert deliver(bench) == str(replies.server_error(""))
    assert "log_failure" in logs[0]


def test_loops_are_refused(new_bench):
    bench = new_bench()
    hop = b"Received: from a by b; x\r\n"
    assert deliver(bench, body=hop * 101 + b"\r\n") == str(replies.TOO_MANY_HOPS)
    assert not bench.services.blobs._blobs
    assert not bench.services.blobs.open_writers
    assert deliver(bench, body=hop * 100 + b"\r\n" + hop).startswith("250")


def test_a_message_too_big_frees_what_was_written_at_once(new_bench):
    bench = new_bench(max_message_size=1000)
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"DATA\r\n")
    assert bench.services.blobs.open_writers
    protocol.dataReceived(b"x" * 1001)
    assert not bench.services.blobs.open_writers
    protocol.dataReceived(b"x" * 1000 + b"\r\n.\r\n")
    assert last(transport) == str(replies.MESSAGE_TOO_BIG)


def test_every_transaction_is_one_line_of_log(new_bench):
    bench = new_bench()
    with capturedLogs() as logs:
        deliver(bench)
        protocol, _ = bench.connect()
        protocol.dataReceived(HELLO + b"MAIL FROM:<>\r\nRCPT TO:<no@mx.example>\r\nRSET\r\n")
    first, refused, second = logs
    assert first["recipients"] == ["b@mx.example", "c@mx.example"]
    assert first["outcome"] == str(replies.MESSAGE_ACCEPTED)
    assert first["size"] > 0
    assert first["hello"] == "c.example"
    assert refused["recipient"] == "no@mx.example"
    assert second["outcome"] == "abandoned"


# Drain


def test_drain_closes_what_is_idle(new_bench):
    bench = new_bench()
    _, transport = bench.connect()
    fired = []
    bench.factory.drain().addCallback(fired.append)
    assert last(transport) == str(replies.SHUTTING_DOWN)
    assert fired == [None]
    assert not bench.clock.getDelayedCalls()
    assert bench.connect()[1].value() == replies.SHUTTING_DOWN.to_bytes()


def test_drain_lets_a_message_finish(slow):
    protocol, transport = slow.connect()
    protocol.dataReceived(MESSAGE)
    slow.services.delivery.go_on()
    fired = []
    slow.factory.drain().addCallback(fired.append)
    slow.factory.drain().addCallback(fired.append)
    assert transport.connected
    assert not fired
    slow.services.delivery.go_on()
    assert transport.value().decode().split("\r\n")[-3:-1] == [
        str(replies.MESSAGE_ACCEPTED),
        str(replies.SHUTTING_DOWN),
    ]
    assert fired == [None, None]


def test_drain_has_an_end(new_bench):
    bench = new_bench()
    protocol, transport = bench.connect()
    protocol.dataReceived(OPEN + b"DATA\r\nhalf")
    fired = []
    bench.factory.drain().addCallback(fired.append)
    bench.clock.advance(DRAIN_TIMEOUT + 0.1)
    assert transport.aborted
    assert fired == [None]
    assert not bench.services.blobs.open_writers


# Noise

PIECES = st.sampled_from([OPEN, MESSAGE, b"DATA\r\n", b"BDAT 3\r\n", b"\r\n.\r\n", b"\r\n", b"\n"])


@given(st.lists(PIECES | st.binary(max_size=20), max_size=20))
def test_noise_leaves_nothing_behind(new_bench, pieces):
    bench = new_bench(max_message_size=1000)
    protocol, transport = bench.connect()
    with capturedLogs() as logs:
        for piece in pieces:
            protocol.dataReceived(piece)
        if transport.connected:
            transport.loseConnection()
    assert not [event for event in logs if "log_failure" in event]
    assert not bench.services.blobs.open_writers
    assert len(bench.services.blobs._blobs) == len(bench.services.delivery.delivered)
    assert not bench.clock.getDelayedCalls()


def test_senders_who_ask_are_told_of_the_delivery(new_bench):
    bench = new_bench()
    _, transport = bench.connect()
    transport.protocol.dataReceived(
        b"EHLO c.example\r\nMAIL FROM:<a@c.example> RET=HDRS ENVID=x\r\n"
        b"RCPT TO:<b@mx.example> NOTIFY=SUCCESS\r\nDATA\r\n"
    )
    transport.protocol.dataReceived(b"x\r\n.\r\n")
    assert b"\r\n250 2.0.0 Message accepted\r\n" in transport.value()
    ((envelope, reached),) = bench.services.reports.told
    assert envelope.parameters == {"RET": "HDRS", "ENVID": "x"}
    assert envelope.recipient_parameters == {"b@mx.example": {"NOTIFY": "SUCCESS"}}
    assert reached == ("b@mx.example",)

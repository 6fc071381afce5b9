"""Connections under abuse: slow, endless, pipelined, half-sent, going away."""

import pytest
from twisted.internet.defer import Deferred

from mailhive.http.body import HIGH_WATER
from mailhive.http.channel import LINGER
from mailhive.jmap.limits import Limits

JSON = {"Content_Type": "application/json"}


def test_octet_by_octet(wire, tools):
    data = tools.request("POST", "/jmap/api", b'{"a":1}', **JSON)
    wire.send(*(data[i : i + 1] for i in range(len(data))))
    assert wire.take()[::2] == (200, b'{"a":1}')


def test_pipelined_requests_are_answered_in_order(wire, tools):
    wire.send(
        tools.request("POST", "/jmap/api", b"1", **JSON)
        + tools.request("GET", "/nowhere")
        + tools.request("POST", "/jmap/upload/Aalice/", b"upload")
        + tools.request("POST", "/jmap/api", b"2", **JSON)
    )
    assert [wire.take()[0] for _ in range(3)] == [200, 404, 201]
    assert wire.take()[::2] == (200, b"2")
    assert not wire.transport.disconnecting


def test_pipelined_requests_wait_for_the_one_before(server, wire, tools):
    server.api.gate = Deferred()
    wire.send(*(tools.request("POST", "/jmap/api", b"%d" % i, **JSON) for i in range(3)))
    assert wire.received == b""
    gate, server.api.gate = server.api.gate, None
    gate.callback(None)
    assert [wire.take()[2] for _ in range(3)] == [b"0", b"1", b"2"]


def test_an_answer_before_a_small_body_keeps_the_connection(wire, tools):
    head, _, _ = tools.request("POST", "/jmap/api", b"12345", auth=None, **JSON).partition(b"12345")
    wire.send(head, b"12")
    assert wire.take()[0] == 401
    wire.send(b"345" + tools.request("POST", "/jmap/api", b"9", **JSON))
    assert wire.take()[::2] == (200, b"9")


def test_an_answer_before_a_large_body_ends_the_connection(wire, tools, clock):
    wire.send(tools.request("POST", "/jmap/api", auth=None, length=HIGH_WATER + 1, **JSON))
    status, headers, _ = wire.take()
    assert (status, headers["connection"]) == (401, "close")
    # The peer is read on for a while: a reset would take the answer from it.
    assert not wire.transport.disconnecting
    wire.send(b"x" * 1_000_000)
    assert wire.received == b""
    clock.advance(LINGER)
    assert wire.transport.disconnecting


def test_data_behind_a_refused_body_is_no_request(wire, tools):
    wire.send(
        tools.request("POST", "/nowhere", length=HIGH_WATER + 1),
        b"x" * (HIGH_WATER + 1) + tools.request("GET", "/other"),
    )
    assert wire.take()[0] == 404
    assert wire.received == b""


@pytest.mark.parametrize(
    ("body", "framing"),
    [
        (b"1\r\na\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"x" * (HIGH_WATER + 1), {}),
    ],
)
def test_a_body_that_came_with_its_head_is_no_reason_to_close(wire, tools, body, framing):
    wire.send(
        tools.request("POST", "/nowhere", body, **framing) + tools.request("GET", "/nowhere"),
        tools.request("GET", "/nowhere"),
    )
    for _ in range(3):
        status, headers, _ = wire.take()
        assert status == 404
        assert "connection" not in headers
    assert not wire.paused


def test_a_chunked_body_that_ends_where_it_is_refused(clock, tools):
    wire = tools.wire(tools.make_server(clock, Limits(request_size=1)))
    wire.send(
        tools.request("POST", "/jmap/api", Transfer_Encoding="chunked", **JSON),
        b"2\r\n[]\r\n0\r\n\r\n" + tools.request("GET", "/other"),
    )
    status, headers, _ = wire.take()
    assert (status, headers["connection"]) == (400, "close")
    assert wire.received == b""


def test_nothing_is_read_ahead_of_authentication(server, wire, tools):
    server.chain.gate = Deferred()
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", length=10_000_000))
    assert not wire.paused
    wire.send(b"x" * (HIGH_WATER + 1))
    assert wire.paused
    wire.protocol.resumeProducing()  # the transport has sent something: still held
    assert wire.paused
    server.chain.gate.callback(None)
    assert not wire.paused
    assert len(server.blobs.open_writers) == 1


def test_a_held_connection_that_is_refused_is_read_away(server, wire, tools):
    server.chain.gate = Deferred()
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", auth=None, length=10_000_000))
    wire.send(b"x" * (HIGH_WATER + 1))
    server.chain.gate.callback(None)
    assert wire.take()[0] == 401
    assert not wire.paused


def test_a_held_connection_times_out(server, wire, tools, clock):
    server.chain.gate = Deferred()
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", length=10_000_000), b"x" * 100_000)
    clock.advance(60)
    assert wire.transport.disconnecting


def test_a_silent_connection_times_out(wire, clock):
    clock.advance(59)
    assert not wire.transport.disconnecting
    clock.advance(1)
    assert wire.transport.disconnecting


def test_a_silent_connection_between_requests_times_out(wire, tools, clock):
    clock.advance(59)
    wire.send(tools.request("GET", "/nowhere"))
    clock.advance(59)
    assert not wire.transport.disconnecting
    clock.advance(1)
    assert wire.transport.disconnecting


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nX: "])
def test_a_head_that_drips_times_out(wire, clock, start):
    wire.send(start)
    for _ in range(70):
        wire.send(b"x")
        clock.advance(1)
        if wire.transport.disconnecting:
            break
    assert wire.transport.disconnecting


def test_a_body_that_drips_times_out_and_leaves_nothing(server, wire, tools, clock):
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", Transfer_Encoding="chunked"))
    assert server.blobs.open_writers
    for _ in range(70):
        wire.send(b"1\r\nx\r\n")
        clock.advance(1)
    assert wire.transport.disconnecting
    wire.lose()
    assert not server.blobs.open_writers


def test_a_slow_but_steady_body_is_taken(wire, tools, clock):
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", length=600_000))
    for _ in range(300):
        wire.send(b"x" * 2_000)
        clock.advance(1)
    assert wire.take()[0] == 201


def test_a_slow_answer_is_not_counted(server, wire, tools, clock):
    server.api.gate = Deferred()
    wire.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    for _ in range(10):
        clock.advance(30)
    server.api.gate.callback(None)
    server.api.gate = None
    assert wire.take()[0] == 200
    wire.send(tools.request("POST", "/jmap/api", b"2", **JSON))
    assert wire.take()[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 501 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 900 + b"\r\n") * 20 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"x" * 20_000,
    ],
)
def test_a_head_beyond_the_limits_ends_the_connection(wire, head):
    wire.send(head)
    assert wire.transport.disconnecting
    assert b"Traceback" not in wire.received
    assert wire.received == b"" or wire.take()[0] == 400


def test_a_malformed_chunk_leaves_nothing(server, wire, tools):
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", Transfer_Encoding="chunked"))
    wire.send(b"zz\r\n")
    assert wire.transport.disconnecting
    wire.lose()
    assert not server.blobs.open_writers
    assert server.api.uploads == []


def test_http_1_0(wire):
    wire.send(b"GET /nowhere HTTP/1.0\r\n\r\n")
    assert wire.take()[0] == 404
    assert wire.transport.disconnecting


def test_draining_closes_idle_connections_and_finishes_the_others(server, clock, tools):
    idle, busy = tools.wire(server), tools.wire(server)
    server.api.gate = Deferred()
    busy.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    drained = []
    server.site.drain().addCallback(drained.append)
    assert idle.transport.disconnecting
    assert not busy.transport.disconnecting
    idle.lose()
    server.api.gate.callback(None)
    status, headers, body = busy.take()
    assert (status, headers["connection"], body) == (200, "close", b"1")
    assert busy.transport.disconnecting
    assert drained == []
    busy.lose()
    assert drained == [None]


def test_draining_without_connections_is_done_at_once(server):
    drained = []
    server.site.drain().addCallback(drained.append)
    assert drained == [None]


def test_an_answer_that_had_begun_before_draining_ends_its_connection(server, wire, tools):
    server.api.blobs["b1"] = tools.blob(b"x" * 1_000_000)
    wire.send(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    server.site.drain()
    assert wire.take()[0] == 200
    assert wire.transport.disconnecting


def test_the_connection_is_lost_at_any_moment(server, tools):
    data = tools.request("POST", "/jmap/upload/Aalice/", b"x" * 300) + tools.request(
        "POST", "/jmap/api", b"1", **JSON
    )
    for end in range(0, len(data), 7):
        wire = tools.wire(server)
        wire.send(data[:end])
        wire.lose()
        assert not server.blobs.open_writers
    assert not server.site.channels


@pytest.mark.parametrize("coding", ["chunked", "identity"])
@pytest.mark.parametrize("length", [0, 7])
def test_a_body_of_two_lengths_is_refused(wire, tools, coding, length):
    framing = {"Content_Length": str(length), "Transfer_Encoding": coding}
    wire.send(
        tools.request("POST", "/jmap/api", **JSON, **framing)
        + b"0\r\n\r\n"
        + tools.request("POST", "/jmap/api", b"2", **JSON)
    )
    assert wire.take()[0] == 400
    assert not wire.received
    assert wire.transport.disconnecting

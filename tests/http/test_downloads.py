"""Downloads (RFC 8620 §6.2): headers, ranges, and the speed of the reader."""

import msgspec
import pytest
from twisted.internet.defer import Deferred

from mailhive.http.download import PIECE

PATH = "/jmap/download/Aalice/b1/report.txt?accept=text%2Fplain"


@pytest.fixture
def blob(server, tools):
    server.api.blobs["b1"] = tools.blob(b"0123456789")
    return server.api.blobs["b1"]


def get(wire, tools, path=PATH, method="GET", **headers):
    return wire.send(tools.request(method, path, **headers)).take()


def test_download(wire, tools, blob):
    status, headers, body = get(wire, tools)
    assert (status, body) == (200, b"0123456789")
    assert headers["content-type"] == "text/plain"
    assert headers["content-length"] == "10"
    assert headers["content-disposition"] == 'attachment; filename="report.txt"'
    assert headers["cache-control"] == "private, immutable, max-age=31536000"
    assert headers["etag"] == '"b1"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("path", "content_type", "disposition"),
    [
        ("b1/", "application/octet-stream", "attachment"),
        ("b1/x", "application/octet-stream", 'attachment; filename="x"'),
        ("b1/a%2Fb?accept=image/svg+xml", "image/svg+xml", 'attachment; filename="a/b"'),
        ("b1/a/b?accept=image%2Fsvg%2Bxml", "image/svg+xml", 'attachment; filename="a/b"'),
        (
            "b1/%C3%BC%0D%0AX%3A%20y?accept=text/html;%20charset=utf-8",
            "text/html; charset=utf-8",
            "attachment; filename=\"_X: y\"; filename*=UTF-8''%C3%BCX%3A%20y",
        ),
    ],
)
def test_type_and_name(wire, tools, blob, path, content_type, disposition):
    status, headers, _ = get(wire, tools, "/jmap/download/Aalice/" + path)
    assert status == 200
    assert headers["content-type"] == content_type
    assert headers["content-disposition"] == disposition
    assert "x" not in headers


@pytest.mark.parametrize("accept", ["text", "text/html%0D%0AX:y", "%ff/x", "a/b%00"])
def test_type_that_is_none(wire, tools, blob, accept):
    assert get(wire, tools, f"/jmap/download/Aalice/b1/x?accept={accept}")[0] == 400


@pytest.mark.parametrize("path", ["Aalice/b2/x", "Abob/b1/x"])
def test_no_such_blob(wire, tools, blob, path):
    status, headers, body = get(wire, tools, "/jmap/download/" + path)
    assert status == 404
    assert headers["content-type"] == "application/problem+json"
    assert "immutable" not in headers["cache-control"]
    assert msgspec.json.decode(body)["status"] == 404


@pytest.mark.parametrize(
    ("header", "content_range", "expected"),
    [
        ("bytes=2-4", "bytes 2-4/10", b"234"),
        ("bytes=8-", "bytes 8-9/10", b"89"),
        ("bytes=-2", "bytes 8-9/10", b"89"),
    ],
)
def test_range(wire, tools, blob, header, content_range, expected):
    status, headers, body = get(wire, tools, Range=header)
    assert (status, body) == (206, expected)
    assert headers["content-range"] == content_range
    assert headers["content-type"] == "text/plain"


def test_several_ranges_are_answered_with_the_whole(wire, tools, blob):
    assert get(wire, tools, Range="bytes=0-0,2-2")[::2] == (200, b"0123456789")


def test_range_beyond_the_end(wire, tools, blob):
    status, headers, _ = get(wire, tools, Range="bytes=10-")
    assert (status, headers["content-range"]) == (416, "bytes */10")
    assert headers["cache-control"] == "no-store"
    assert blob.reads == []


@pytest.mark.parametrize(("tag", "status"), [('"b1"', 206), ('"b2"', 200)])
def test_if_range(wire, tools, blob, tag, status):
    assert get(wire, tools, Range="bytes=0-1", If_Range=tag)[0] == status


def test_not_modified(wire, tools, blob):
    status, headers, body = get(wire, tools, If_None_Match='"x", "b1"')
    assert (status, body) == (304, b"")
    assert headers["etag"] == '"b1"'
    assert "immutable" in headers["cache-control"]
    assert "content-length" not in headers
    assert blob.reads == []


def test_head(wire, tools, blob):
    wire.send(tools.request("HEAD", PATH, Range="bytes=0-1"))
    head, _, body = wire.received.partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"Content-Length: 10" in head
    assert body == b""
    assert blob.reads == []


def test_empty_blob(server, wire, tools):
    server.api.blobs["b0"] = tools.blob(b"")
    status, headers, body = get(wire, tools, "/jmap/download/Aalice/b0/x")
    assert (status, headers["content-length"], body) == (200, "0", b"")


def test_large_blobs_are_read_in_pieces(server, wire, tools):
    content = bytes(range(256)) * (PIECE // 64)
    blob = server.api.blobs["b2"] = tools.blob(content + b"end")
    assert get(wire, tools, "/jmap/download/Aalice/b2/x")[2] == content + b"end"
    assert [length for _, length in blob.reads] == [PIECE] * 4 + [3]


def test_a_slow_client_is_waited_for(server, wire, tools):
    blob = server.api.blobs["b2"] = tools.blob(b"x" * PIECE * 10)
    hold_writes(wire)
    wire.send(tools.request("GET", "/jmap/download/Aalice/b2/x"))
    assert len(blob.reads) == 2  # one sent, one waits
    wire.protocol.resumeProducing()
    assert len(blob.reads) == 3
    wire.transport.write = type(wire.transport).write.__get__(wire.transport)
    wire.protocol.resumeProducing()
    assert len(blob.reads) == 10
    assert wire.received.endswith(b"x" * PIECE)
    wire.send(tools.request("GET", "/nowhere"))
    assert b"404" in wire.received


def test_a_client_that_takes_nothing_is_dropped(server, wire, tools, clock):
    server.api.blobs["b2"] = tools.blob(b"x" * PIECE * 10)
    hold_writes(wire)
    wire.send(tools.request("GET", "/jmap/download/Aalice/b2/x"))
    clock.advance(59)
    wire.protocol.resumeProducing()
    clock.advance(59)
    assert not wire.transport.aborted
    clock.advance(1)
    assert wire.transport.aborted
    wire.lose()
    assert not clock.getDelayedCalls()


def test_nothing_is_read_for_a_client_that_is_gone(server, wire, tools, clock):
    blob = server.api.blobs["b2"] = tools.blob(b"x" * PIECE * 10)
    hold_writes(wire)
    wire.send(tools.request("GET", "/jmap/download/Aalice/b2/x"))
    wire.protocol.stopProducing()
    wire.lose()
    assert len(blob.reads) == 2
    assert not clock.getDelayedCalls()


def test_a_store_that_fails_midway_cuts_the_connection(server, wire, tools):
    blob = server.api.blobs["b2"] = tools.blob(b"x" * PIECE * 2)
    gate = Deferred()
    read = blob.read

    async def failing(start, length):
        if start:
            await gate
        return await read(start, length)

    server.api.blobs["b2"] = type(
        "Failing", (), {"size": blob.size, "read": staticmethod(failing)}
    )()
    wire.send(tools.request("GET", "/jmap/download/Aalice/b2/x"))
    gate.errback(OSError("disk"))
    assert wire.transport.aborted
    assert b"disk" not in wire.received
    assert b"problem" not in wire.received


def hold_writes(wire):
    """Make the transport full after every write, as a slow client does."""
    write = wire.transport.write

    def full(data):
        write(data)
        if len(data) > 1000:
            wire.protocol.pauseProducing()

    wire.transport.write = full

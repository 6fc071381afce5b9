"""Uploads (RFC 8620 §6.1): straight into the blob store, bounded, nothing left behind."""

import msgspec
import pytest
from twisted.internet.defer import Deferred

from mailhive.http.body import HIGH_WATER
from mailhive.jmap.limits import Limits

UPLOAD = "/jmap/upload/Aalice/"


@pytest.fixture
def small(clock, tools):
    """A server that takes uploads of 100 octets."""
    return tools.make_server(clock, Limits(upload_size=100, concurrent_uploads=1))


def problem(wire):
    status, headers, body = wire.take()
    assert headers["content-type"] == "application/problem+json"
    return status, msgspec.json.decode(body)


@pytest.mark.parametrize("path", [UPLOAD, UPLOAD.rstrip("/")])
def test_upload(server, wire, tools, path):
    wire.send(tools.request("POST", path, b"hello", Content_Type="text/plain; charset=utf-8"))
    status, headers, body = wire.take()
    assert status == 201
    assert headers["content-type"] == "application/json"
    result = msgspec.json.decode(body)
    assert result["type"] == "text/plain; charset=utf-8"
    assert (result["accountId"], result["size"]) == ("Aalice", 5)
    content = []
    server.blobs.read(result["blobId"]).addCallback(content.append)
    assert content == [b"hello"]
    assert not server.blobs.open_writers


def test_upload_without_type_or_octets(server, wire, tools):
    wire.send(tools.request("POST", UPLOAD))
    result = msgspec.json.decode(wire.take()[2])
    assert (result["type"], result["size"]) == ("application/octet-stream", 0)


@pytest.mark.parametrize("content_type", ["text", "a/b; c=\xff", "text/plain, x/y"])
def test_upload_with_a_type_that_is_none(server, wire, tools, content_type):
    wire.send(tools.request("POST", UPLOAD, b"x", Content_Type=content_type))
    assert problem(wire)[0] == 400


def test_upload_to_another_account(server, wire, tools):
    wire.send(tools.request("POST", "/jmap/upload/Abob/", b"x"))
    assert problem(wire)[0] == 404
    assert not server.blobs.open_writers


def test_upload_of_the_largest_size(small, tools):
    wire = tools.wire(small).send(tools.request("POST", UPLOAD, b"x" * 100))
    assert wire.take()[0] == 201


@pytest.mark.parametrize("length", [101, 10**15])
def test_too_large_by_its_length_is_refused_before_it_is_read(small, tools, length):
    wire = tools.wire(small).send(tools.request("POST", UPLOAD, length=length))
    status, details = problem(wire)
    assert (status, details["limit"]) == (413, "maxSizeUpload")
    assert details["type"] == "urn:ietf:params:jmap:error:limit"
    assert not small.blobs.open_writers


def test_endless_upload_is_cut(small, tools):
    wire = tools.wire(small).send(tools.request("POST", UPLOAD, Transfer_Encoding="chunked"))
    for _ in range(10):
        wire.send(b"a\r\n0123456789\r\n")
    assert wire.received == b""
    wire.send(b"1\r\n")
    wire.send(b"x")
    status, details = problem(wire)
    assert (status, details["limit"]) == (413, "maxSizeUpload")
    assert not small.blobs.open_writers
    wire.send(*[b"\r\n1\r\nx"] * 1000)
    assert wire.received == b""


@pytest.mark.parametrize(
    ("path", "auth", "length", "status"),
    [
        (UPLOAD, "alice", 50, 100),
        (UPLOAD, "alice", 101, 413),
        (UPLOAD, None, 50, 401),
        ("/jmap/upload/Abob/", "alice", 50, 404),
        ("/nowhere", None, 50, 404),
    ],
)
def test_expectation_is_answered_before_the_body_is_sent(small, tools, path, auth, length, status):
    wire = tools.wire(small)
    wire.send(
        tools.request("POST", path, auth=auth and tools.alice, length=length, Expect="100-continue")
    )
    assert wire.received.startswith(b"HTTP/1.1 %d " % status)
    if status == 100:
        wire.transport.clear()
        wire.send(b"x" * length)
        assert wire.take()[0] == 201
    else:
        assert b"Connection: close" in wire.received


def test_only_one_100_is_sent(small, tools):
    wire = tools.wire(small)
    wire.send(tools.request("POST", UPLOAD, length=2, Expect="100-Continue"), b"x", b"y")
    assert wire.received.count(b"HTTP/1.1 100") == 1
    assert b"HTTP/1.1 201" in wire.received


def test_http_1_0_has_no_expectations(small, tools):
    data = tools.request("POST", UPLOAD, b"x", Expect="100-continue")
    wire = tools.wire(small).send(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.take()[0] == 201


def test_aborted_upload_leaves_nothing(server, wire, tools):
    wire.send(tools.request("POST", UPLOAD, length=1000), b"x" * 500)
    assert len(server.blobs.open_writers) == 1
    wire.lose()
    assert not server.blobs.open_writers
    assert server.api.uploads == []


def test_upload_given_up_while_it_waits_for_authentication(server, wire, tools):
    server.chain.gate = Deferred()
    wire.send(tools.request("POST", UPLOAD, length=1000), b"x" * 500)
    wire.lose()
    server.chain.gate.callback(None)
    assert not server.blobs.open_writers


def test_a_full_disk_is_a_temporary_failure(server, wire, tools):
    server.blobs.full = True
    wire.send(tools.request("POST", UPLOAD, b"x"))
    assert problem(wire)[0] == 503
    assert not server.blobs.open_writers


def test_an_error_while_writing_aborts(server, wire, tools):
    writer = tools.counting_writer()

    def write(data):
        raise OSError("no space left on device")

    writer.write = write
    server.blobs.open_writer = lambda: writer
    wire.send(tools.request("POST", UPLOAD, b"x"))
    status, details = problem(wire)
    assert status == 500
    assert "space" not in str(details)
    assert writer.aborted


def test_concurrent_uploads_are_limited_apart_from_requests(small, tools):
    first = tools.wire(small).send(tools.request("POST", UPLOAD, length=10))
    second = tools.wire(small).send(tools.request("POST", UPLOAD, b"x"))
    status, details = problem(second)
    assert (status, details["limit"]) == (400, "maxConcurrentUpload")
    second.send(tools.request("POST", "/jmap/api", b"1", Content_Type="application/json"))
    assert second.take()[0] == 200
    first.lose()
    second.send(tools.request("POST", UPLOAD, b"x"))
    assert second.take()[0] == 201


def test_a_large_upload_is_never_in_memory(clock, tools):
    size = 120_000_000
    server = tools.make_server(clock, Limits(upload_size=size))
    writer = tools.counting_writer()
    server.blobs.open_writer = lambda: writer
    wire = tools.wire(server).send(tools.request("POST", UPLOAD, length=size))
    piece = b"x" * 65_536
    for _ in range(size // len(piece)):
        wire.send(piece)
    wire.send(b"x" * (size % len(piece)))
    assert wire.take()[0] == 201
    assert (writer.size, writer.committed, writer.aborted) == (size, True, False)
    assert writer.largest <= HIGH_WATER


def test_form_data_is_not_parsed(server, wire, tools):
    wire.send(
        tools.request("POST", UPLOAD, b"a=1&b=2", Content_Type="application/x-www-form-urlencoded")
    )
    result = msgspec.json.decode(wire.take()[2])
    assert result["size"] == 7

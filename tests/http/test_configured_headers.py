"""`jmap.http.headers` on whatever is answered, also before anything is understood."""

import pytest
from twisted.internet.defer import Deferred

from mailhive.errors import TemporaryFailure

CONFIGURED = (
    ("Server", "Stalwart JMAP"),
    ("Cache-Control", "max-age=3600"),
    ("Strict-Transport-Security", "max-age=63072000"),
    ("X-Twice", "a"),
    ("X-Twice", "b"),
)


@pytest.fixture
def configured(clock, tools):
    return tools.make_server(clock, headers=CONFIGURED)


def answers(tools, server):
    """Requests, and the statuses of what they are answered with."""
    ask = tools.request
    server.api.blobs["b1"] = tools.blob(b"hello")
    path = "/jmap/download/Aalice/b1/x"
    yield 200, ask("GET", "/jmap/session")
    yield 200, ask("POST", "/jmap/api", b"{}", Content_Type="application/json")
    yield 201, ask("POST", "/jmap/upload/Aalice/", b"x")
    yield 200, ask("GET", path)
    yield 206, ask("GET", path, Range="bytes=1-2")
    yield 304, ask("GET", path, If_None_Match='"b1"')
    yield 416, ask("GET", path, Range="bytes=9-")
    yield 204, ask("OPTIONS", "/jmap/api", auth=None)
    yield 200, ask("OPTIONS", "*", auth=None)
    yield 400, ask("GET", "/%ff")
    yield 400, ask("GET", "/jmap/session", Accept="a/b;jmapVersion=x")
    yield 400, b"GET / HTTP/1.1\r\n\r\n"
    yield 400, b"\x16\x03\x01\r\n\r\n"
    yield 401, ask("GET", "/jmap/session", auth=None)
    yield 404, ask("GET", "/nowhere")
    yield 405, ask("DELETE", "/jmap/api")
    yield 413, ask("POST", "/jmap/upload/Aalice/", length=10**9)
    yield 415, ask("POST", "/jmap/api", b"{}", Content_Type="text/plain")
    yield 426, ask("GET", "/jmap/ws")


def test_configured_headers_are_on_every_answer(configured, tools):
    for status, octets in answers(tools, configured):
        wire = tools.wire(configured)
        wire.send(octets)
        found, headers, _ = wire.take()
        assert found == status, octets
        assert headers["server"] == "Stalwart JMAP"
        assert headers["strict-transport-security"] == "max-age=63072000"
        assert headers["x-twice"] == "a, b"
        assert "max-age=3600" in headers["cache-control"]


@pytest.mark.parametrize(
    ("error", "status"), [(TemporaryFailure("x"), 503), (ZeroDivisionError("x"), 500)]
)
def test_configured_headers_are_on_failures(configured, tools, error, status):
    configured.chain.gate = Deferred()
    wire = tools.wire(configured).send(tools.request("GET", "/jmap/session"))
    configured.chain.gate.errback(error)
    found, headers, _ = wire.take()
    assert (found, headers["x-twice"]) == (status, "a, b")

"""Routes: session, api, errors; what every answer carries."""

import gzip

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from mailhive.errors import AccountNotFound, TemporaryFailure
from mailhive.http.urls import Prefixes
from mailhive.jmap.errors import RequestError
from mailhive.jmap.limits import Limits

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def events():
    """What is logged."""
    seen = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)


def request_events(events):
    return [e for e in events if e.get("log_namespace") == "mailhive.http.requests"]


def problem(wire):
    status, headers, body = wire.take()
    assert headers["content-type"] == "application/problem+json"
    assert headers["access-control-allow-origin"] == "*"
    assert b"Traceback" not in body
    details = msgspec.json.decode(body)
    assert details["status"] == status
    return status, details, headers


# Session


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/jmap/session", "/jmap/api"])
def test_session(wire, tools, path):
    wire.send(tools.request("GET", path))
    status, headers, body = wire.take()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-cache, no-store, must-revalidate"
    session = msgspec.json.decode(body)
    assert session["apiUrl"] == "http://localhost:8080/jmap/api"
    assert session["uploadUrl"] == "http://localhost:8080/jmap/upload/{accountId}/"
    assert session["downloadUrl"] == (
        "http://localhost:8080/jmap/download/{accountId}/{blobId}/{name}?accept={type}"
    )
    for variable in ("{types}", "{closeafter}", "{ping}"):
        assert variable in session["eventSourceUrl"]


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/jmap/session", "/jmap/api"])
def test_head_has_the_headers_of_get(wire, tools, path):
    wire.send(tools.request("GET", path))
    body = wire.take()[2]
    wire.send(tools.request("HEAD", path))
    head, _, rest = wire.received.partition(b"\r\n\r\n")
    assert rest == b""
    assert f"Content-Length: {len(body)}".encode() in head
    assert b" 200 " in head


def test_session_urls_have_the_configured_prefix(clock, tools):
    server = tools.make_server(clock, prefixes=Prefixes("https://mail.example/base"))
    wire = tools.wire(server).send(tools.request("GET", "/jmap/session", host="evil.example"))
    assert msgspec.json.decode(wire.take()[2])["apiUrl"] == "https://mail.example/base/jmap/api"


def test_session_urls_do_not_follow_the_host_header(wire, tools):
    wire.send(tools.request("GET", "/jmap/session", host="evil.example"))
    assert b"evil" not in wire.received


# API


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/json;x"]
)
def test_api(wire, tools, content_type):
    wire.send(tools.request("POST", "/jmap/api", b'{"using":[]}', Content_Type=content_type))
    status, headers, body = wire.take()
    assert (status, body) == (200, b'{"using":[]}')
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, {"Content_Type": "text/plain"}, {"Content_Type": ""}])
def test_api_wants_json(server, wire, tools, headers):
    wire.send(tools.request("POST", "/jmap/api", b"{}", **headers))
    status, details, _ = problem(wire)
    assert (status, details["type"]) == (415, "urn:ietf:params:jmap:error:notJSON")
    assert server.api.handled == 0


def test_api_chunked(wire, tools):
    body = b"2\r\n{}\r\n1;a=b\r\n \r\n0\r\n\r\n"
    wire.send(tools.request("POST", "/jmap/api", body, Transfer_Encoding="chunked", **JSON))
    assert wire.take()[::2] == (200, b"{} ")


def test_api_request_of_the_largest_size(clock, tools):
    server = tools.make_server(clock, Limits(request_size=100))
    wire = tools.wire(server).send(tools.request("POST", "/jmap/api", b"x" * 100, **JSON))
    assert wire.take()[0] == 200


@pytest.mark.parametrize(
    "data",
    [
        {"length": 101},
        {"body": b"65\r\n" + b"x" * 101, "Transfer_Encoding": "chunked"},
        {"length": 10**15},
    ],
)
def test_api_request_that_is_too_large(clock, tools, data):
    """RFC 8620 §3.6.1.1 shows status 400."""
    server = tools.make_server(clock, Limits(request_size=100))
    wire = tools.wire(server).send(tools.request("POST", "/jmap/api", **data, **JSON))
    status, details, _ = problem(wire)
    assert status == 400
    assert details["type"] == "urn:ietf:params:jmap:error:limit"
    assert details["limit"] == "maxSizeRequest"
    assert server.api.handled == 0


def test_api_errors_are_answered(server, wire, tools):
    server.api.error = RequestError("notRequest", "no")
    wire.send(tools.request("POST", "/jmap/api", b"{}", **JSON))
    status, details, _ = problem(wire)
    assert (status, details["type"]) == (400, "urn:ietf:params:jmap:error:notRequest")


def test_concurrent_requests_are_limited_for_each_user(clock, tools):
    server = tools.make_server(clock, Limits(concurrent_requests=2))
    server.api.gate = gate = Deferred()
    busy = [
        tools.wire(server).send(tools.request("POST", "/jmap/api", b"1", **JSON)) for _ in range(2)
    ]
    third = tools.wire(server).send(tools.request("POST", "/jmap/api", b"1", **JSON))
    status, details, _ = problem(third)
    assert (status, details["limit"]) == (400, "maxConcurrentRequests")
    server.api.gate = None
    gate.callback(None)
    assert [wire.take()[0] for wire in busy] == [200, 200]
    third.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    assert third.take()[0] == 200


def test_leaving_neither_ends_a_request_nor_frees_its_slot(clock, tools):
    server = tools.make_server(clock, Limits(concurrent_requests=1))
    server.api.gate = gate = Deferred()
    wire = tools.wire(server).send(tools.request("POST", "/jmap/api", b"1", **JSON))
    wire.lose()
    other = tools.wire(server).send(tools.request("POST", "/jmap/api", b"1", **JSON))
    assert other.take()[0] == 400
    server.api.gate = None
    gate.callback(None)
    assert server.api.handled == 1
    other.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    assert other.take()[0] == 200


def test_answers_are_compressed_for_who_accepts_it(wire, tools):
    body = b'"' + b"x" * 100_000 + b'"'
    wire.send(tools.request("POST", "/jmap/api", body, Accept_Encoding="br, gzip", **JSON))
    _, headers, compressed = wire.take()
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(compressed) == body
    wire.send(tools.request("POST", "/jmap/api", body, **JSON))
    assert wire.take()[2] == body


# Authentication


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/.well-known/jmap"),
        ("POST", "/jmap/api"),
        ("POST", "/jmap/upload/Aalice/"),
        ("GET", "/jmap/download/Aalice/b1/x"),
    ],
)
@pytest.mark.parametrize("auth", [None, "Basic bad", "Bearer x"])
def test_unauthenticated(wire, tools, method, path, auth):
    wire.send(tools.request(method, path, auth=auth))
    status, _, headers = problem(wire)
    assert status == 401
    assert headers["www-authenticate"] == 'Basic realm="mailhive", Bearer'


def test_two_authorization_headers_are_none(server, wire, tools):
    wire.send(tools.request("GET", "/jmap/session", authorization=tools.alice))
    assert problem(wire)[0] == 401


def test_too_many_attempts(server, wire, tools):
    server.chain.error = tools.too_many(2.5)
    wire.send(tools.request("GET", "/jmap/session"))
    status, _, headers = problem(wire)
    assert (status, headers["retry-after"]) == (429, "3")


def test_temporary_failure(server, wire, tools):
    server.chain.error = TemporaryFailure("connection to 10.0.0.1 refused")
    wire.send(tools.request("GET", "/jmap/session"))
    status, details, _ = problem(wire)
    assert status == 503
    assert "10.0.0.1" not in details["detail"]


def test_an_account_that_went_away_meanwhile(server, wire, tools):
    server.api.error = AccountNotFound("account a1 is gone")
    wire.send(tools.request("POST", "/jmap/api", b"{}", **JSON))
    assert problem(wire)[0] == 404


def test_our_errors_are_logged_and_not_told(server, wire, tools, events):
    server.api.error = ZeroDivisionError("secret of the code")
    wire.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    status, details, _ = problem(wire)
    assert status == 500
    assert "secret" not in str(details)
    failures = [e for e in events if "log_failure" in e]
    assert [e["log_failure"].type for e in failures] == [ZeroDivisionError]
    wire.send(tools.request("GET", "/jmap/session"))
    assert wire.take()[0] == 200


# Everything


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/jmap",
        "/jmap/",
        "/jmap/api/",
        "/JMAP/api",
        "/jmap/upload/",
        "/jmap/download/Aalice",
        "/.well-known/jmap/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths(wire, tools, path, method):
    wire.send(tools.request(method, path, auth=None))
    assert problem(wire)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/jmap/session", "GET, HEAD, OPTIONS"),
        ("GET", "/jmap/upload/Aalice/", "OPTIONS, POST"),
        ("PUT", "/jmap/api", "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/jmap/download/Aalice/b1/x", "GET, HEAD, OPTIONS"),
        ("BREW", "/jmap/session", "GET, HEAD, OPTIONS"),
    ],
)
def test_wrong_methods(wire, tools, method, path, allowed):
    wire.send(tools.request(method, path))
    status, _, headers = problem(wire)
    assert (status, headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("path", "host"), [("/%ff", "mail.example"), ("/jmap/session", "m\xffl"), ("/\xa0", "x")]
)
def test_what_is_no_text(wire, tools, path, host, events):
    wire.send(tools.request("GET", path, host=host))
    assert problem(wire)[0] == 400
    assert not [e for e in events if "log_failure" in e]


def test_configured_headers_are_on_every_answer(clock, tools):
    configured = (
        ("Cache-Control", "max-age=3600"),
        ("Server", "Stalwart JMAP"),
        ("access-control-allow-origin", "https://web.example"),
        ("X-A", "1"),
        ("X-A", "2"),
    )
    server = tools.make_server(clock, headers=configured)
    for data in (
        tools.request("GET", "/jmap/session"),
        tools.request("GET", "/jmap/session", auth=None),
        tools.request("POST", "/jmap/api", b"1", **JSON),
        tools.request("GET", "/nowhere"),
        tools.request("GET", "/%ff"),
        tools.request("OPTIONS", "/jmap/api"),
        tools.request("POST", "/jmap/api", length=10**9),
    ):
        _, headers, _ = tools.wire(server).send(data).take()
        assert headers["cache-control"].endswith("max-age=3600")
        assert headers["server"] == "Stalwart JMAP"
        assert headers["access-control-allow-origin"] == "https://web.example"
        assert headers["x-a"] == "1, 2"


def test_a_configured_cache_control_does_not_make_the_session_cacheable(clock, tools):
    server = tools.make_server(clock, headers=(("Cache-Control", "max-age=3600"),))
    _, headers, _ = tools.wire(server).send(tools.request("GET", "/jmap/session")).take()
    assert "no-store" in headers["cache-control"]


def test_one_event_for_a_request_without_secrets(wire, tools, events):
    wire.send(tools.request("POST", "/jmap/api?token=hidden", b"12345", **JSON))
    (event,) = request_events(events)
    assert event["account"] == "alice"
    assert event["method"] == "POST"
    assert event["path"] == "/jmap/api"
    assert event["methods"] == "Core/echo"
    assert event["status"] == 200
    assert event["octets_in"] == event["octets_out"] == 5
    assert event["peer"] == "192.0.2.1"
    assert event["listener"] == "test"
    assert "hidden" not in str(event)
    assert tools.alice not in str(event)


def test_an_event_for_a_request_that_cannot_be_read(wire, events):
    wire.send(b"POST /jmap/api?token=hidden HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    wire.take()
    wire.lose()
    (event,) = request_events(events)
    assert (event["status"], event["method"], event["path"]) == (400, "-", "-")
    assert "hidden" not in str(event)


def test_an_event_for_a_request_that_was_given_up(server, wire, tools, events):
    server.api.gate = Deferred()
    wire.send(tools.request("POST", "/jmap/api", b"1", **JSON))
    wire.lose()
    (event,) = request_events(events)
    assert event["status"] == "gone"

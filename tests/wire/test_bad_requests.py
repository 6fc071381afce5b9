"""HTTP that no honest client sends: a clear answer, and a daemon that goes on serving."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailhive.testing.process import DaemonProcess

REQUEST_LIMIT = 1_000_000
UPLOAD_LIMIT = 2_000_000
EXTRA = f"""
[jmap.limits]
request-size = {REQUEST_LIMIT}
[jmap.upload]
max-size = {UPLOAD_LIMIT}
"""

ECHO = '["Core/echo", {}, "0"]'
USING = '"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]'


def echo(value: str) -> bytes:
    """A request that echoes a JSON text."""
    return f'{{{USING}, "methodCalls": [["Core/echo", {{"v": {value}}}, "0"]]}}'.encode()


NOT_JSON = {
    "empty": b"",
    "malformed": b'{"using": [',
    "trailing": f'{{{USING}, "methodCalls": []}} x'.encode(),
    "two-documents": f'{{{USING}, "methodCalls": []}}{{}}'.encode(),
    "duplicate-key": f'{{{USING}, {USING}, "methodCalls": []}}'.encode(),
    "duplicate-key-escaped": echo(r'{"a": 1, "\u0061": 2}'),
    "duplicate-key-deep": echo('[{"x": {"a": 1, "b": 2, "a": 3}}]'),
    "invalid-utf-8": echo('"@"').replace(b"@", b"\xff\xfe"),
    "overlong-utf-8": echo('"@"').replace(b"@", b"\xc0\x80"),
    "surrogate-in-utf-8": echo('"@"').replace(b"@", b"\xed\xa0\x80"),
    "lone-surrogate": echo(r'"\ud800"'),
    "swapped-surrogates": echo(r'"\udc00\ud800"'),
    "utf-16": echo("1").decode().encode("utf-16"),
    "nesting-of-arrays": echo("[" * 100_000 + "]" * 100_000),
    "nesting-of-objects": echo('{"a":' * 60_000 + "1" + "}" * 60_000),
    "unclosed-nesting": b"[" * 500_000,
    "nan": echo("NaN"),
    "control-character": echo('"@"').replace(b"@", b"\x01"),
    "nul": b"\0" * 1000,
}
NOT_REQUEST = {
    "null": b"null",
    "array": b"[]",
    "number": b"1" * 300,
    "no-calls": f"{{{USING}}}".encode(),
    "calls-is-text": f'{{{USING}, "methodCalls": "x"}}'.encode(),
    "call-of-two": f'{{{USING}, "methodCalls": [["Core/echo", {{}}]]}}'.encode(),
    "arguments-is-null": f'{{{USING}, "methodCalls": [["Core/echo", null, "0"]]}}'.encode(),
    "using-is-object": f'{{"using": {{}}, "methodCalls": [{ECHO}]}}'.encode(),
    "bad-created-ids": f'{{{USING}, "methodCalls": [{ECHO}], "createdIds": {{"a": 1}}}}'.encode(),
}


@pytest.fixture
def client(daemon: DaemonProcess, jmap: Callable) -> Iterator[Any]:
    """A client; afterwards the daemon must still answer, and have logged no traceback."""
    connected = jmap(daemon)
    yield connected
    assert jmap(daemon).call("Core/echo", still="here")["still"] == "here"
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_not_json(client: Any, body: bytes) -> None:
    status, problem = client.post(body)
    assert (status, problem["type"]) == (400, "urn:ietf:params:jmap:error:notJSON")
    assert problem["detail"]


@pytest.mark.parametrize("body", NOT_REQUEST.values(), ids=NOT_REQUEST)
def test_not_a_request(client: Any, body: bytes) -> None:
    status, problem = client.post(body)
    assert status == 400
    assert problem["type"].startswith("urn:ietf:params:jmap:error:not")
    assert problem["detail"]


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999", "1" + "0" * 100_000])
def test_long_numbers_are_echoed_or_refused(client: Any, number: str) -> None:
    status, answer = client.post(echo(number))
    if status == 200:
        # As RFC 8620 §4 has it: the very same arguments
        assert answer["methodResponses"][0][1] == {"v": json.loads(number)}
    else:
        assert (status, answer["type"]) == (400, "urn:ietf:params:jmap:error:notJSON")


ARGUMENTS = {
    "long-limit": {"limit": 10**30},
    "long-position": {"position": -(10**400)},
    "negative-limit": {"limit": -1},
    "fractional-position": {"position": 0.5},
    "deep-filter": None,
    "unknown-sort": {"sort": [{"property": "nothing"}]},
    "nul-in-filter": {"filter": {"text": "\0\0"}},
    "odd-filter": {"filter": {"inMailbox": {"a": []}}},
    "quotes-in-search": {"filter": {"text": "\"'*:^ AND NEAR(a b) -- \u0000 {x}: ( ) %_"}},
    "long-search": {"filter": {"text": "word " * 50_000}},
    "many-conditions": {
        "filter": {"operator": "OR", "conditions": [{"text": f"w{i}"} for i in range(5_000)]}
    },
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_odd_arguments(client: Any, name: str) -> None:
    arguments = ARGUMENTS[name]
    if arguments is None:
        filter_: Any = {"hasKeyword": "x"}
        for _ in range(60):
            filter_ = {"operator": "NOT", "conditions": [filter_]}
        arguments = {"filter": filter_}
    call = ["Email/query", {"accountId": client.account_id, **arguments}, "0"]
    body = {
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [call],
    }
    status, answer = client.post(json.dumps(body).encode())
    if status != 200:
        assert answer["type"].startswith("urn:ietf:params:jmap:error:")
        return
    name, result, _ = answer["methodResponses"][0]
    if name == "error":
        assert result["type"] in {
            "invalidArguments",
            "unsupportedFilter",
            "unsupportedSort",
            "requestTooLarge",
        }
    else:
        assert isinstance(result["ids"], list)


# Sizes


def connect(server: DaemonProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.http_port), timeout=100)


def head(client: Any, target: str, *fields: str) -> bytes:
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {client.authorization}",
        "Content-Type: application/json",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection: socket.socket) -> bytes:
    """What the daemon sends until it closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def api(client: Any) -> str:
    return "/" + client.session["apiUrl"].split("/", 3)[3]


def upload(client: Any) -> str:
    path = client.session["uploadUrl"].split("/", 3)[3]
    return "/" + path.replace("{accountId}", client.account_id)


PLACES = [(api, REQUEST_LIMIT, "maxSizeRequest"), (upload, UPLOAD_LIMIT, "maxSizeUpload")]


@pytest.mark.parametrize(("place", "limit", "name"), PLACES)
def test_oversize_is_refused_before_it_is_sent(
    daemon: DaemonProcess, client: Any, place: Callable[[Any], str], limit: int, name: str
) -> None:
    with connect(daemon) as connection:
        connection.sendall(head(client, place(client), f"Content-Length: {limit + 1}"))
        answer = connection.recv(65536)
    assert answer.split()[1] in {b"400", b"413"}
    assert b"urn:ietf:params:jmap:error:limit" in answer
    assert name.encode() in answer


@pytest.mark.parametrize(("place", "limit", "name"), PLACES)
def test_an_endless_body_is_cut(
    daemon: DaemonProcess, client: Any, place: Callable[[Any], str], limit: int, name: str
) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with connect(daemon) as connection:
        connection.sendall(head(client, place(client), "Transfer-Encoding: chunked"))
        connection.setblocking(False)
        answer = b""
        while not answer:
            with contextlib.suppress(BlockingIOError):
                sent += connection.send(chunk)
            with contextlib.suppress(BlockingIOError):
                answer = connection.recv(65536)
            assert sent < limit + 20_000_000
    assert answer.split()[1] in {b"400", b"413"}
    assert name.encode() in answer


def test_an_oversize_request_of_nested_text_costs_no_memory(
    daemon: DaemonProcess, client: Any
) -> None:
    before = daemon.memory()
    for _ in range(20):
        status, _ = client.post(b'{"a":[' * (REQUEST_LIMIT // 6))
        assert status == 400
    assert daemon.memory() < before + 100_000_000


HEADS = {
    "long-line": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    "endless-field": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "many-fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 50_000 + b"\r\n",
    "no-http": b"EHLO client.example\r\nMAIL FROM:<>\r\n\r\n",
    "binary": bytes(range(256)) * 400 + b"\r\n\r\n",
    "nul-in-path": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "two-lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length-and-chunked": b"POST / HTTP/1.1\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative-length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "bad-chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "bad-escape": b"GET /%zz%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "bad-credentials": b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Authorization: Basic \xff\xfe!!\r\n\r\n",
    "huge-credentials": b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Authorization: Basic " + b"QUFB" * 2000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("octets", HEADS.values(), ids=HEADS)
def test_odd_heads(daemon: DaemonProcess, client: Any, octets: bytes) -> None:
    with connect(daemon) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"Traceback" not in answer


# Connections


def test_a_half_closed_client_gets_its_answer(daemon: DaemonProcess, client: Any) -> None:
    body = echo('"here"')
    with connect(daemon) as connection:
        fields = (f"Content-Length: {len(body)}", "Connection: close")
        connection.sendall(head(client, api(client), *fields) + body)
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"here"' in answer


@pytest.mark.parametrize("place", [api, upload])
def test_a_client_that_leaves_in_the_middle(
    daemon: DaemonProcess, client: Any, place: Callable[[Any], str]
) -> None:
    for _ in range(20):
        with connect(daemon) as connection:
            connection.sendall(head(client, place(client), "Content-Length: 5000") + b"x" * 100)
    with connect(daemon) as connection:
        connection.sendall(head(client, place(client), "Content-Length: 5000") + b"x" * 100)
        connection.shutdown(socket.SHUT_WR)
        assert not read_all(connection).startswith(b"HTTP/1.1 2")
    # They do not count as running requests or uploads any more.
    assert client.upload(b"From: a@b\r\n\r\n")


def test_slow_clients_do_not_hold_up_others(daemon: DaemonProcess, client: Any) -> None:
    with contextlib.ExitStack() as stack:
        for i in range(200):
            connection = stack.enter_context(connect(daemon))
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (i % 50))
        for _ in range(20):
            assert client.call("Core/echo", v=1)["v"] == 1


def test_a_reader_that_never_reads(daemon: DaemonProcess, client: Any) -> None:
    blob = client.upload(b"x" * UPLOAD_LIMIT, "application/octet-stream")
    url = client.session["downloadUrl"].split("/", 3)[3]
    values = {"accountId": client.account_id, "blobId": blob, "type": "text/plain", "name": "x"}
    for key, value in values.items():
        url = url.replace("{" + key + "}", value)
    request = head(client, "/" + url).replace(b"POST", b"GET", 1)
    before = daemon.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(daemon)).sendall(request)
        for _ in range(20):
            client.call("Core/echo")
        assert daemon.memory() < before + 150_000_000

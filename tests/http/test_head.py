"""Requests that two servers in a row could take for different ones, and forms of targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from mailhive.http.head import is_well_formed, origin_form

CHUNKED = "Transfer-Encoding: chunked\r\n"
HOST = "Host: a\r\n"
SECOND = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        # how long is the body?
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\n{CHUNKED}",
        f"POST / HTTP/1.1\r\n{HOST}{CHUNKED}Content-Length: 5\r\n",
        f"POST / HTTP/1.1\r\n{HOST}{CHUNKED}{CHUNKED}",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: identity\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: \x0bchunked\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding:\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding\r\n : chunked\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding : chunked\r\n",
        f"POST / HTTP/1.0\r\n{CHUNKED}",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 6\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 5\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5, 5\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: +5\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 0x5\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 5 \x0b\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: {'9' * 5000}\r\n",
        f"POST / HTTP/1.1\r\n{HOST}Content-Length : 5\r\n",
        # whose is it?
        "GET / HTTP/1.1\r\n",
        f"GET / HTTP/1.1\r\n{HOST}Host: b\r\n",
        f"GET / HTTP/1.1\r\n{HOST}{HOST}",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n",
        # what is asked for?
        f"GET nowhere HTTP/1.1\r\n{HOST}",
        f"GET * HTTP/1.1\r\n{HOST}",
        f"CONNECT a:443 HTTP/1.1\r\n{HOST}",
        f"GET ftp://a/ HTTP/1.1\r\n{HOST}",
        f"GET http:///x HTTP/1.1\r\n{HOST}",
        f"GET http://u:p@a/ HTTP/1.1\r\n{HOST}",
        f"GET / HTTP/2.0\r\n{HOST}",
        f"GET /  HTTP/1.1\r\n{HOST}",
        f"GET /\tHTTP/1.1\r\n{HOST}",
        f" GET / HTTP/1.1\r\n{HOST}",
        f"GET / HTTP/1.1\r\n{HOST}no field\r\n",
        f"GET / HTTP/1.1\r\n{HOST}: empty\r\n",
    ],
)
def test_what_is_refused_ends_the_connection(wire, head):
    wire.send(head.encode("latin-1") + b"\r\n" + SECOND.encode())
    status, headers, _ = wire.take()
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert headers["connection"] == "close"
    assert wire.received == b""
    assert wire.transport.disconnecting


@pytest.mark.parametrize(
    "chunks",
    [b"-1\r\n", b"0x5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\r\nhelloX\r\n", b"5;\x00\r\nhello\r\n",
     b"\r\n", b"+5\r\nhello\r\n", b"5" * 2000],
)  # fmt: skip
def test_a_bad_chunk_ends_the_connection(server, wire, tools, chunks):
    wire.send(
        tools.request("POST", "/jmap/upload/Aalice/", Transfer_Encoding="chunked"),
        chunks + SECOND.encode(),
    )
    assert wire.take()[0] == 400
    assert b"HTTP/1.1" not in wire.received
    assert wire.transport.disconnecting
    wire.lose()
    assert server.api.uploads == []
    assert not server.blobs.open_writers


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://mail.example/jmap/session", 200),
        ("HTTPS://mail.example:443/jmap/session?x=/y", 200),
        ("http://[::1]:8080/jmap/session", 200),
        ("http://mail.example", 404),
        ("http://mail.example?x", 404),
    ],
)
def test_absolute_form(wire, tools, target, status):
    wire.send(tools.request("GET", target))
    assert wire.take()[0] == status


def test_the_host_of_an_absolute_form_is_the_one_that_counts(wire, tools):
    foreign = {"host": "mail.example", "Origin": "http://mail.example"}
    wire.send(tools.request("GET", "http://other.example/jmap/ws", **foreign))
    assert wire.take()[0] == 403  # a WebSocket from a page of another origin
    wire.send(tools.request("GET", "http://mail.example/jmap/ws", **foreign))
    assert wire.take()[0] == 426


def test_asterisk_form(wire, tools):
    wire.send(tools.request("OPTIONS", "*", auth=None))
    status, headers, _ = wire.take()
    assert (status, headers["server"]) == (200, "mailhive")


@given(st.sampled_from(["http://", "https://"]), st.from_regex(r"[a-z0-9.]{1,20}", fullmatch=True),
       st.from_regex(r"(/[!->@-~]*)?(\?[!-~]*)?", fullmatch=True))  # fmt: skip
def test_a_target_is_its_authority_and_the_rest(scheme, host, rest):
    target = f"{scheme}{host}{rest}".encode()
    path, found = origin_form(target)
    assert found == host.encode()
    assert path == (rest if rest.startswith("/") else f"/{rest}").encode()
    assert is_well_formed(b"GET " + target + b" HTTP/1.1", Headers({b"Host": [b"x"]}))

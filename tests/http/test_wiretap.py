"""What the wiretap of HTTP tells, and what it never does."""

import gzip
import json

import pytest

from mailhive.edge.excerpt import SHOWN
from mailhive.http.forwarded import Proxies
from mailhive.model.networks import Networks

JSON = {"Content_Type": "application/json"}


@pytest.fixture
def tapped(server):
    server.site.wiretap = True
    return server


@pytest.fixture
def dumps(events_of):
    """What was told, as lines with its direction."""
    told = events_of("mailhive.wiretap")
    return lambda: [f"{event['direction']} {event['dump']}" for event in told]


def test_a_request_and_its_answer(tapped, tools, dumps):
    tools.wire(tapped).send(
        tools.request("POST", "/jmap/api", b'{"using":[],"verificationCode":"wonderland"}', **JSON)
    )
    asked, answered = dumps()
    assert asked.startswith("> POST /jmap/api HTTP/1.1\nHost: mail.example\n")
    assert "\nAuthorization: [redacted]\n" in asked
    assert asked.endswith('\n\n{"using":[],"verificationCode": "[redacted]"}')
    assert answered.startswith("< HTTP/1.1 200 OK\n")
    assert "\nServer: mailhive" in answered
    assert answered.endswith('\n\n{"using":[],"verificationCode": "[redacted]"}')


def test_no_credential_is_told(tapped, tools, dumps):
    secrets = {
        "Cookie": "c-wonderland",
        "X_User_Secret": "s-wonderland",
        "Proxy_Authorization": "p-wonderland",
    }
    tools.wire(tapped).send(tools.request("GET", "/jmap/session?ticket=t-wonderland", **secrets))
    tools.wire(tapped).send(tools.request("GET", "/jmap/ws?a=b&ticket=t-wonderland", **secrets))
    tools.wire(tapped).send(tools.request("POST", "/jmap/ticket"))
    told = "\n".join(dumps())
    assert tools.alice.split()[1] not in told
    assert "wonderland" not in told
    assert "/jmap/ws?a=b&ticket=[redacted] " in told
    assert '"ticket": "[redacted]"' in told


def test_a_compressed_answer_is_told_as_it_reads(tapped, tools, dumps):
    body = json.dumps({"using": ["x" * 50] * 100, "keys": "wonderland"}).encode()
    wire = tools.wire(tapped)
    wire.send(tools.request("POST", "/jmap/api", body, Accept_Encoding="gzip", **JSON))
    assert gzip.decompress(wire.take()[2]) == body
    assert dumps()[1].endswith('"keys": "[redacted]"}')


def test_what_is_long_is_cut_and_what_is_no_text_is_counted(tapped, tools, dumps):
    tapped.api.blobs["b1"] = tools.blob(b"\xff" * 100_000)
    tools.wire(tapped).send(tools.request("POST", "/jmap/api", b'"' + b"x" * 50_000 + b'"', **JSON))
    tools.wire(tapped).send(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    tools.wire(tapped).send(
        tools.request("POST", "/jmap/upload/Aalice/", b"y" * 60_000, Content_Type="image/png")
    )
    long, _, _, download, upload, _ = dumps()
    assert len(long) < SHOWN + 1000
    assert long.endswith(f" [{50_002 - SHOWN} octets more]")
    assert download.endswith("\n\n[100000 octets of application/octet-stream]")
    assert upload.endswith("\n\n[60000 octets of image/png]")


def test_a_request_that_is_given_up(tapped, tools, dumps):
    wire = tools.wire(tapped)
    wire.send(tools.request("POST", "/jmap/upload/Aalice/", b"abc", length=10, **JSON))
    wire.lose()
    assert [dump.split("\n")[0] for dump in dumps()] == ["> POST /jmap/upload/Aalice/ HTTP/1.1"]


def test_nothing_is_told_unless_it_is_on(server, tools, dumps):
    tools.wire(server).send(tools.request("GET", "/jmap/session"))
    assert dumps() == []


def test_the_line_of_a_request(server, tools, events):
    server.site.proxies = Proxies(Networks.parse(["192.0.2.1"]))
    named = {"X_Request_Id": "abc-1", "X_Real_IP": "198.51.100.7"}
    for peer in ("192.0.2.1", "192.0.2.2"):
        tools.wire(server, peer).send(
            tools.request("POST", "/jmap/api?ticket=x", b"12345", **JSON, **named)
        )
    tools.wire(server).send(tools.request("GET", "/\x9bx", auth=None, X_Request_Id="a b"))
    first, second, third = events
    assert {key: first[key] for key in first if not key.startswith("log_")} == {
        "listener": "test",
        "request": "abc-1",
        "peer": "198.51.100.7",
        "account": "alice",
        "method": "POST",
        "path": "/jmap/api",
        "status": 200,
        "milliseconds": 0,
        "octets_in": 5,
        "octets_out": 5,
        "methods": "Core/echo",
    }
    assert second["request"] != "abc-1"
    assert second["peer"] == "192.0.2.2"
    assert third["request"].startswith("r")
    assert third["path"] == "/\\x9bx"
    assert third["account"] == "-"

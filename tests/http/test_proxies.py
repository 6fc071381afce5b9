"""What trusted proxies say of a request: whose it is, and where its client thinks it went."""

import msgspec
import pytest

from mailhive.http.forwarded import Proxies
from mailhive.http.urls import Prefixes
from mailhive.model.networks import Networks

PROXY = "10.0.0.1"


@pytest.fixture
def behind(server):
    """A server behind a proxy."""
    server.site.proxies = Proxies(Networks.parse([PROXY]))
    return server


def get(tools, server, peer=PROXY, path="/jmap/session", **headers):
    return tools.wire(server, peer).send(tools.request("GET", path, **headers)).take()


@pytest.mark.parametrize(
    "told",
    [
        {"X_Real_IP": "192.0.2.7"},
        {"X_Forwarded_For": "8.8.8.8, 192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
    ],
)
def test_x_real_ip_and_its_like_reach_throttling_and_log(behind, tools, events, told):
    get(tools, behind, **told)
    get(tools, behind, peer="198.51.100.1", **told)
    assert behind.chain.seen == [("192.0.2.7", PROXY), ("198.51.100.1", "198.51.100.1")]
    assert [event["peer"] for event in events] == ["192.0.2.7", "198.51.100.1"]


def test_connections_of_proxies_are_not_counted(clock, tools):
    server = tools.make_server(clock, max_connections_per_address=1)
    server.site.proxies = Proxies(Networks.parse([PROXY]))
    proxies = [tools.wire(server, PROXY) for _ in range(3)]
    assert not any(wire.transport.aborted for wire in proxies)
    assert not tools.wire(server, "192.0.2.1").transport.aborted
    assert tools.wire(server, "192.0.2.1").transport.aborted


# Prefixes

STATIC = Prefixes("https://mail.example/base", "wss://socket.example")
A, B = "https://new.example/a", "wss://new.example:8443/b"


@pytest.fixture
def urls(clock, tools):
    """Ask for the session; its api and WebSocket URLs, or the status and the problem."""

    def ask(prefixes, peer=PROXY, path="/jmap/session", **headers):
        server = tools.make_server(clock, prefixes=prefixes)
        server.site.proxies = Proxies(Networks.parse([PROXY]))
        status, _, body = get(tools, server, peer, path, **headers)
        answer = msgspec.json.decode(body)
        if status != 200:
            return status, answer["detail"]
        return answer["apiUrl"].removesuffix("/jmap/api"), answer["webSocket"].removesuffix(
            "/jmap/ws"
        )

    return ask


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (Prefixes(), ("http://localhost:8080", "ws://localhost:8080")),
        (Prefixes(scheme="https"), ("https://localhost:8080", "wss://localhost:8080")),
        (Prefixes("https://a.example/b"), ("https://a.example/b", "wss://a.example/b")),
        (STATIC, ("https://mail.example/base", "wss://socket.example")),
    ],
)
def test_url_prefix_and_websocket_url_prefix(urls, prefixes, expected):
    assert urls(prefixes) == expected


@pytest.mark.parametrize("path", ["/jmap/session", "/.well-known/jmap"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("https://mail.example/base", "wss://socket.example")),
        ({"X_JMAP_PREFIX": A}, (A, "wss://new.example/a")),  # the web socket's too
        ({"X_JMAP_PREFIX": A + "/"}, (A, "wss://new.example/a")),
        ({"X_JMAP_PREFIX": "http://[::1]:80"}, ("http://[::1]:80", "ws://[::1]:80")),
        ({"X_JMAP_WEBSOCKET_PREFIX": B}, ("https://mail.example/base", B)),
        ({"X_JMAP_PREFIX": A, "X_JMAP_WEBSOCKET_PREFIX": B}, (A, B)),
    ],
)
def test_dynamic_prefix(urls, headers, expected, path):
    dynamic = Prefixes("https://mail.example/base", "wss://socket.example", dynamic=True)
    assert urls(dynamic, path=path, **headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"X_JMAP_PREFIX": "mail.example"},
        {"X_JMAP_PREFIX": ""},
        {"X_JMAP_PREFIX": "javascript:alert(1)"},
        {"X_JMAP_PREFIX": "ws://new.example"},
        {"X_JMAP_PREFIX": "http://a.example, http://b.example"},
        {"X_JMAP_PREFIX": "http://a.example/{accountId}"},
        {"X_JMAP_WEBSOCKET_PREFIX": "https://new.example"},
        {"X_JMAP_PREFIX": A, "X_JMAP_WEBSOCKET_PREFIX": "wss://"},
    ],
)
def test_a_dynamic_prefix_that_is_no_url_is_400(urls, headers):
    status, detail = urls(Prefixes(dynamic=True), **headers)
    assert status == 400
    assert detail.startswith("X-JMAP-")


def test_a_dynamic_prefix_is_believed_of_trusted_proxies_only_and_if_it_is_on(urls):
    headers = {"X_JMAP_PREFIX": "nonsense", "X_JMAP_WEBSOCKET_PREFIX": B}
    static = ("https://mail.example/base", "wss://mail.example/base")
    assert urls(Prefixes(static[0], dynamic=True), "192.0.2.1", **headers) == static
    assert urls(Prefixes(static[0]), **headers) == static

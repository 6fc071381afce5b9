"""The `jmap` listener, made from its configuration."""

import msgspec
import pytest
from attrs import field, frozen
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import globalLogPublisher
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailhive.auth.errors import AuthenticationFailed
from mailhive.config.fields import HttpHeader
from mailhive.config.jmap import JmapHttp, JmapSettings
from mailhive.config.settings import ServerSettings
from mailhive.config.units import Duration, Size
from mailhive.http import listener
from mailhive.http.listener import PROVIDER, JmapListenerSettings
from mailhive.interfaces.authentication import IAuthenticationStrategy
from mailhive.interfaces.listener import IListenerFactory
from mailhive.jmap.capabilities import TICKET, WEBSOCKET
from mailhive.model.networks import Networks
from mailhive.model.principal import Principal
from mailhive.registry import provider
from mailhive.reload import Reloads
from mailhive.services import Listener


@implementer(IAuthenticationStrategy)
class Tokens:
    """Lets the bearer of `good` in."""

    challenge = "Bearer"

    def authenticate(self, headers, peer) -> Deferred:
        value = headers.get("Authorization")
        if value is None:
            return succeed(None)
        if value != "Bearer good":
            return maybeDeferred(self._refuse)
        return succeed(Principal("alice"))

    def _refuse(self):
        raise AuthenticationFailed("no such token")


@frozen
class Config:
    jmap: JmapSettings
    server: ServerSettings


@frozen
class Services:
    config: Config
    jmap_api: object
    blobs: object
    strategies: tuple = (Tokens(),)
    hub: object = None
    tickets: object = None
    reloads: Reloads = field(factory=lambda: Reloads(None, None, None))

    def offload(self, fn, *args):
        return maybeDeferred(fn, *args)


@pytest.fixture
def make(server, clock):
    """A site made by the listener, over the API of the in-memory server."""

    def make(
        *,
        base_url=None,
        tls="none",
        settings=None,
        headers=(),
        origins=(),
        proxies=(),
        forwarded_fields=("X-Forwarded-For", "Forwarded", "X-Real-IP"),
        **jmap_settings,
    ):
        maker = PROVIDER.build(settings or JmapListenerSettings(), None)
        declared = Listener("jmap", tls, base_url, settings or JmapListenerSettings())
        http = JmapHttp(headers=headers, allowed_origins=origins)
        jmap = JmapSettings(directory="memory", http=http, **jmap_settings)
        config = Config(
            jmap,
            ServerSettings(
                trusted_proxies=Networks.parse(proxies), forwarded_fields=forwarded_fields
            ),
        )
        server.site = maker.make_factory(
            "jmap", declared, Services(config, server.api, server.blobs), clock
        )
        return server

    return make


def session_of(tools, server, **headers):
    wire = tools.wire(server)
    status, headers, body = wire.send(
        tools.request("GET", "/jmap/session", auth="Bearer good")
    ).take()
    assert status == 200
    return msgspec.json.decode(body), headers


def test_it_is_found_by_its_name():
    assert provider("listener", "jmap") is PROVIDER


def test_it_is_a_listener_factory():
    assert verifyObject(IListenerFactory, PROVIDER.build(JmapListenerSettings(), None))


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ({}, "http://localhost:8080/jmap/api"),
        ({"tls": "implicit"}, "https://localhost:8080/jmap/api"),
        ({"base_url": "http://a.example:8080"}, "http://a.example:8080/jmap/api"),
        (
            {"base_url": "http://a.example", "url_prefix": "https://b.example/x/"},
            "https://b.example/x/jmap/api",
        ),
    ],
)
def test_session_urls(make, tools, urls, expected):
    assert session_of(tools, make(**urls))[0]["apiUrl"] == expected


def test_configured_headers(make, tools):
    server = make(headers=(HttpHeader("Server", "Stalwart JMAP"),))
    assert session_of(tools, server)[1]["server"] == "Stalwart JMAP"


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({}, None),
        ({"origins": ("*",)}, "*"),
        ({"headers": (HttpHeader("Access-Control-Allow-Origin", "*"),)}, "*"),
        ({"headers": (HttpHeader("access-control-allow-origin", "https://a"),)}, "https://a"),
    ],
)
def test_allowed_origins(make, tools, settings, allowed):
    wire = tools.wire(make(**settings)).send(
        tools.request("OPTIONS", "/jmap/api", auth=None, Origin="https://a")
    )
    headers = wire.take()[1]
    assert headers.get("access-control-allow-origin") == allowed
    assert ("access-control-allow-headers" in headers) is (allowed is not None)


@pytest.mark.parametrize("auth", [None, "Bearer bad"])
def test_a_401_has_the_challenges_of_the_strategies(make, tools, auth):
    wire = tools.wire(make()).send(tools.request("GET", "/jmap/session", auth=auth))
    status, headers, _ = wire.take()
    assert (status, headers["www-authenticate"]) == (401, "Bearer")


def test_timeouts_are_those_of_the_settings(make, tools, clock):
    settings = JmapListenerSettings(
        idle_timeout=Duration(5.0), request_timeout=Duration(7.0), minimum_rate=Size(10)
    )
    server = make(settings=settings)
    wire = tools.wire(server)
    clock.advance(5)
    assert wire.transport.disconnecting
    assert server.site.time_allowed(100) == 17.0


def test_connections_beyond_the_settings_are_cut(make, tools):
    settings = JmapListenerSettings(max_connections=3, max_connections_per_address=2)
    server = make(settings=settings)
    first, second, third = (tools.wire(server) for _ in range(3))
    assert not first.transport.aborted and third.transport.aborted
    elsewhere = [tools.wire(server, f"2001:db8:0:{n}::1") for n in range(2)]
    assert [wire.transport.aborted for wire in elsewhere] == [False, True]
    second.lose()
    again = tools.wire(server)
    assert not again.transport.aborted
    assert again.send(tools.request("GET", "/jmap/session")).take()[0] == 401


@pytest.mark.parametrize(
    "name",
    [
        "idle_timeout", "request_timeout", "minimum_rate", "max_connections",
        "max_connections_per_address",
    ],
)  # fmt: skip
def test_settings_are_positive(name):
    with pytest.raises(ValueError, match="more than 0"):
        JmapListenerSettings(**{name: 0})


@pytest.mark.parametrize(
    ("uri", "method", "path"),
    [(WEBSOCKET, "GET", "/jmap/ws"), (TICKET, "POST", "/jmap/ticket")],
)
def test_what_is_disabled_is_not_there(make, tools, uri, method, path):
    server = make(disabled_capabilities=(uri,))
    wire = tools.wire(server).send(tools.request(method, path, auth="Bearer good"))
    assert wire.take()[0] == 404


@pytest.mark.parametrize("native", [True, False])
def test_it_is_told_when_autobahn_has_no_native_code(make, monkeypatch, native):
    monkeypatch.setattr(listener, "USES_NVX", native)
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        make()
    finally:
        globalLogPublisher.removeObserver(events.append)
    told = [event for event in events if "native code" in str(event.get("log_format"))]
    assert [event["log_level"].name for event in told] == ([] if native else ["warn"])


def test_draining(make):
    drained = []
    make().site.drain().addCallback(drained.append)
    assert drained == [None]

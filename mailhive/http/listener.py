"""The `jmap` listener: settings, and the site made of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from attrs import field, frozen
from autobahn.websocket import USES_NVX
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.auth.chain import Chain
from mailhive.config.fields import doc
from mailhive.config.settings import Settings
from mailhive.config.units import Duration, Size
from mailhive.http.cors import Cors
from mailhive.http.forwarded import Proxies
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API, Prefixes
from mailhive.interfaces.listener import IListenerFactory
from mailhive.registry import Provider

__all__ = ["PROVIDER", "JmapListener", "JmapListenerSettings"]

_log = Logger()


def _positive(_: object, __: object, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{value:g} is too small; more than 0 is allowed")


@frozen
class JmapListenerSettings:
    """A listener that speaks JMAP over HTTP."""

    alpn: ClassVar[tuple[bytes, ...]] = (b"http/1.1",)

    idle_timeout: Duration = field(
        default=Duration(60.0),
        validator=_positive,
        metadata=doc(
            "How long a connection may be silent: between requests, within one, and while a "
            "client takes nothing of a download."
        ),
    )
    request_timeout: Duration = field(
        default=Duration(60.0),
        validator=_positive,
        metadata=doc(
            "How long a client may take to send a request, and a second more for each "
            "`minimum-rate` octets that it has sent."
        ),
    )
    minimum_rate: Size = field(
        default=Size(1_000),
        validator=_positive,
        metadata=doc("See `request-timeout`: octets per second."),
    )
    max_connections: int = field(
        default=5_000,
        validator=_positive,
        metadata=doc("Connections open at a time; more are cut."),
    )
    max_connections_per_address: int = field(
        default=1_000,
        validator=_positive,
        metadata=doc(
            "The same for one IPv4 address or one IPv6 /64 network. Those of "
            "`server.trusted-proxies` are not counted."
        ),
    )


@implementer(IListenerFactory)
class JmapListener:
    """Makes a `JmapSite`; its `drain()` lets requests in flight finish."""

    settings = JmapListenerSettings

    def make_factory(self, name: str, listener: Any, services: Any, reactor: Any) -> JmapSite:
        settings: JmapListenerSettings = listener.settings
        jmap, server = services.config.jmap, services.config.server
        if not USES_NVX:
            _log.warn(
                "Autobahn does without its native code: a message over WebSocket costs five "
                "times as much"
            )
        routes = Routes(
            Gate(Chain(services.strategies), services.tickets, services.offload),
            services.jmap_api,
            services.blobs,
            services.hub,
            reactor=reactor,
            prefixes=Prefixes(
                _prefix(jmap.url_prefix, listener.base_url),
                _prefix(jmap.websocket_url_prefix, None),
                "https" if listener.tls == "implicit" else "http",
                jmap.dynamic_prefix,
            ),
            patience=settings.idle_timeout,
            websocket=jmap.websocket,
            disabled=jmap.disabled_capabilities,
        )
        site = JmapSite(
            {API.encode(): ApiResource(routes)},
            routes.app.resource(),
            name=name,
            reactor=reactor,
            before_drain=routes.streams.end,
            headers=jmap.http.headers,
            cors=Cors(jmap.http.origins),
            proxies=Proxies(server.trusted_proxies, server.forwarded_fields),
            idle_timeout=settings.idle_timeout,
            request_timeout=settings.request_timeout,
            minimum_rate=settings.minimum_rate,
            max_connections=settings.max_connections,
            max_connections_per_address=settings.max_connections_per_address,
        )
        services.reloads.add(partial(_new_headers, site), "jmap.http")
        return site


def _new_headers(site: JmapSite, settings: Settings) -> Callable[[], None]:
    """What a reload changes (`mailhive.reload`)."""
    http = settings.jmap.http
    return partial(site.change_headers, http.headers, Cors(http.origins))


def _prefix(url_prefix: str | None, base_url: str | None) -> str | None:
    prefix = url_prefix or base_url
    return None if prefix is None else prefix.rstrip("/")


PROVIDER = Provider(settings=JmapListenerSettings, build=lambda _settings, _context: JmapListener())

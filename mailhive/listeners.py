"""A listener of the configuration becomes a factory: its protocol, TLS and PROXY around it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOFactory

from mailhive.config.settings import ListenerSettings, Settings
from mailhive.edge.certificates import Certificates
from mailhive.edge.proxied import Proxied
from mailhive.services import BuildContext, Listener, Services

__all__ = ["make_factory"]


def make_factory(name: str, listener: ListenerSettings, services: Services, reactor: Any) -> Any:
    """The factory of the listener `name`, with what lies between it and its sockets."""
    context_factory = None
    if listener.certificate:
        context_factory = Certificates(
            listener.key_pairs,
            seconds=reactor.seconds,
            protocols=getattr(listener.settings, "alpn", ()),
            opportunistic=listener.tls == "starttls",
        )
        services.reloads.add(
            partial(_prepare_certificates, name, context_factory),
            "server.listener.*.certificate",
            "server.listener.*.private-key",
        )
    maker = listener.provider.build(
        listener.settings,
        BuildContext(reactor, services.config.server.data_dir, services.offload),
    )
    factory = maker.make_factory(
        name,
        Listener(name, listener.tls, listener.base_url, listener.settings, context_factory),
        services,
        reactor,
    )
    factory.noisy = False  # listeners are told of by name
    tap = partial(_prepare_wiretap, name, factory)
    tap(services.config)()
    services.reloads.add(tap, "log.wiretap")
    if listener.tls == "implicit":
        factory = _Tls(context_factory, factory)
    if listener.proxy_protocol:
        is_trusted = services.config.server.trusted_proxies.contains
        factory = Proxied(factory, is_trusted, name=name, reactor=reactor)
    return factory


def _prepare_certificates(
    name: str, certificates: Certificates, settings: Settings
) -> Callable[[], None]:
    """Have a listener go by what the configuration and the files say now."""
    listener = settings.server.listener.get(name)
    if listener is None or not listener.certificate:  # told as a change that waits
        return lambda: None
    return certificates.prepare(listener.key_pairs)


def _prepare_wiretap(name: str, factory: Any, settings: Settings) -> Callable[[], None]:
    return partial(setattr, factory, "wiretap", name in settings.log.wiretap)


class _Tls(TLSMemoryBIOFactory):
    """A protocol inside of TLS from the first octet."""

    def __init__(self, context_factory: Any, factory: Any) -> None:
        super().__init__(context_factory, False, factory)
        self.drain = getattr(factory, "drain", lambda: None)

"""Connections that begin with a PROXY header, from proxies that may say whose they are."""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.edge.proxy_header import ProxyHeader, ProxyHeaderError, parse

__all__ = ["Proxied"]

#: Seconds in which the header has to be there: the first that a proxy sends.
HEADER_TIMEOUT = 5.0

_log = Logger()


class _Refusal(Protocol):
    """The end of a connection of somebody who is no proxy of ours."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.abortConnection()


class _Header(Protocol):
    """A connection until its header is there; then `factory`'s protocol takes its place.

    The transport is the same, but for the peer that it tells of.
    """

    transport: Any
    _timer: IDelayedCall | None = None

    def __init__(self, proxied: "Proxied") -> None:
        self._proxied = proxied
        self._received = b""

    def connectionMade(self) -> None:
        self._proxied.waiting.add(self)
        self._timer = self._proxied.reactor.callLater(HEADER_TIMEOUT, self._give_up, "none came")

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        try:
            header = parse(self._received)
        except ProxyHeaderError as error:
            self._give_up(str(error))
        else:
            if header is not None:
                self._become(header)

    def connectionLost(self, _: Failure = connectionDone) -> None:
        self._stop_waiting()

    def _become(self, header: ProxyHeader) -> None:
        self._stop_waiting()
        transport = self.transport
        if header.source is not None:
            peer = _address(*header.source)
            transport.getPeer = lambda: peer
        protocol = self._proxied.factory.buildProtocol(transport.getPeer())
        if protocol is None:
            transport.abortConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        rest, self._received = self._received[header.length :], b""
        if rest:
            protocol.dataReceived(rest)

    def _give_up(self, why: str) -> None:
        self._stop_waiting()
        _log.warn(
            "{listener}: no PROXY header from {peer}: {why}",
            listener=self._proxied.name,
            peer=self.transport.getPeer().host,
            why=why,
        )
        self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        self._proxied.waiting.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def cut(self) -> None:
        """End the connection, of which nothing is known yet."""
        self.transport.abortConnection()


class Proxied(Factory):
    """Serves `factory` on connections of the listener `name` that begin with a PROXY header.

    `is_trusted` says whether an address is that of a proxy; any other peer is cut.
    """

    noisy = False

    def __init__(
        self,
        factory: IProtocolFactory,
        is_trusted: Callable[[str], bool],
        *,
        name: str,
        reactor: Any,
    ) -> None:
        self.factory = factory
        self.name = name
        self.reactor = reactor
        self.waiting: set[_Header] = set()
        self._is_trusted = is_trusted

    def doStart(self) -> None:
        super().doStart()
        self.factory.doStart()

    def doStop(self) -> None:
        self.factory.doStop()
        super().doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        peer = getattr(addr, "host", "")
        if self._is_trusted(peer):
            return _Header(self)
        _log.info("{listener}: {peer} is no trusted proxy", listener=self.name, peer=peer)
        return _Refusal()

    def drain(self) -> Any:
        """Cut what has not begun; the rest is the factory's business."""
        for connection in tuple(self.waiting):
            connection.cut()
        return getattr(self.factory, "drain", lambda: None)()


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    kind = IPv6Address if ":" in host else IPv4Address
    return kind("TCP", host, port)

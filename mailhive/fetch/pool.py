"""Connections that are kept for the next request to the same host, within bounds."""

from collections.abc import Hashable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool
from zope.interface import implementer

from mailhive.fetch.errors import FetchFailed

__all__ = ["Pool"]

#: Octets after which the header of an answer must have ended.
LONGEST_HEADER = 65_536
#: Seconds for which an idle connection is kept.
KEPT = 30
#: Seconds in which a peer must agree to the end of a connection.
CLOSING = 5
#: New connections after which the idle ones are closed.
FORGET = 1_000


class Pool(HTTPConnectionPool):
    """Twisted's pool with a bound on the idle connections, and on what answers may be."""

    cachedConnectionTimeout = KEPT
    retryAutomatically = False  # whoever asks knows what may be sent twice

    def __init__(self, reactor: Any, limit: int) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self.wires: set[Wire] = set()
        self._limit = limit
        self._new = 0

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        # Twisted's pool remembers every host until its idle connections are closed.
        if len(self.wires) >= self._limit or self._new >= FORGET:
            self.closeCachedConnections()
            self._new = 0
        connecting: Deferred[Any] = super().getConnection(key, _Wired(endpoint, self))
        return connecting.addCallback(_Exchange)

    def connected(self, wire: "Wire") -> None:
        self.wires.add(wire)
        self._new += 1


@implementer(IStreamClientEndpoint)
@define(eq=False)
class _Wired:
    """An endpoint whose connections have a `Wire` in them."""

    _endpoint: IStreamClientEndpoint
    _pool: Pool

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        factory = _WireFactory(protocolFactory, self._pool)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda wire: wire.wrappedProtocol)


class _WireFactory(WrappingFactory["Wire"]):
    noisy = False

    def __init__(self, wrapped: Any, pool: Pool) -> None:
        super().__init__(wrapped)
        wrapped.noisy = False
        self.pool = pool

    def buildProtocol(self, addr: Any) -> "Wire":
        return Wire(self, self.wrappedFactory.buildProtocol(addr))


class Wire(ProtocolWrapper):
    """One connection, between HTTP and what is below it."""

    factory: _WireFactory

    def __init__(self, factory: _WireFactory, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self.too_long = False  # was the header
        self._header: int | None = None  # octets of it that may still come
        self._closing: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.factory.pool.connected(self)

    def header_begins(self) -> None:
        self._header = LONGEST_HEADER

    def header_ended(self) -> None:
        self._header = None

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._header is not None:
            self._header -= len(data)
            if self._header < 0:
                self.too_long = True
                self.abortConnection()

    def loseConnection(self) -> None:
        if self._closing is None:
            super().loseConnection()
            self._closing = self.factory.pool.reactor.callLater(CLOSING, self.abortConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.pool.wires.discard(self)
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)


class _Exchange:
    """A connection of the pool, for one request."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._wire: Wire = connection.transport

    def request(self, request: Any) -> Deferred[Any]:
        self._wire.header_begins()
        answer: Deferred[Any] = self._connection.request(request)
        return answer.addCallbacks(self._answered, self._failed)

    def _answered(self, response: Any) -> Any:
        self._wire.header_ended()
        return response

    def _failed(self, failure: Failure) -> Failure:
        if self._wire.too_long:
            raise FetchFailed("the header of its answer is too long")
        return failure

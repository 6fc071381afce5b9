"""A relay of TCP connections that behaves as badly as a network or a server can.

relay = Relay(reactor, server_port)
relay.mode = "garbage"        # counts for what comes from now on
connect to 127.0.0.1:relay.port
await relay.close()
"""

import os
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Factory, Protocol

__all__ = ["Relay"]

Mode = Literal["pass", "refuse", "silent", "cut", "garbage", "drip", "endless"]

_CHUNK = 65_536


class Relay(Factory):
    """Listens on `port` of the loopback, and connects to another one.

    `mode` says what becomes of what the server sends: `pass`; `refuse`, connections
    are closed at once; `silent`, nothing arrives any more; `cut`, half of it arrives
    and then the connection ends; `garbage`, random octets arrive in its place;
    `drip`, one octet each tenth of a second; `endless`, random octets without end.
    """

    noisy = False
    mode: Mode = "pass"

    def __init__(self, reactor: Any, server_port: int) -> None:
        self.reactor = reactor
        self.server_port = server_port
        self.connections: set[_Inside] = set()
        self._port = reactor.listenTCP(0, self, interface="127.0.0.1")

    @property
    def port(self) -> int:
        port: int = self._port.getHost().port
        return port

    def buildProtocol(self, addr: IAddress | None) -> "_Inside":  # noqa: ARG002
        return _Inside(self)

    def cut_all(self) -> None:
        """Reset every connection."""
        for connection in list(self.connections):
            connection.transport.abortConnection()

    def close(self) -> "Deferred[None] | None":
        """Stop listening, end every connection."""
        self.cut_all()
        stopped: Deferred[None] | None = self._port.stopListening()
        return stopped


class _Inside(Protocol):
    """From the client."""

    transport: Any

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.outside: _Outside | None = None
        self._lost = False

    def connectionMade(self) -> None:
        if self.relay.mode == "refuse":
            self.transport.abortConnection()
            return
        self.relay.connections.add(self)
        self.transport.pauseProducing()
        self.relay.reactor.connectTCP("127.0.0.1", self.relay.server_port, _ToServer(self))

    def joined(self, outside: "_Outside") -> None:
        """The server took the connection."""
        self.outside = outside
        if self._lost:
            outside.transport.abortConnection()
        else:
            self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        if self.outside is not None:
            self.outside.transport.write(data)

    def connectionLost(self, *_: Any) -> None:
        self._lost = True
        self.relay.connections.discard(self)
        if self.outside is not None:
            self.outside.transport.abortConnection()

    # For `endless`, as a producer

    def resumeProducing(self) -> None:
        self.transport.write(os.urandom(_CHUNK))

    def stopProducing(self) -> None:
        """The connection is gone."""

    def deliver(self, data: bytes) -> None:
        """What the server sent, as far as it gets through."""
        if self._lost:
            return
        match self.relay.mode:
            case "pass" | "refuse":
                self.transport.write(data)
            case "cut":
                self.transport.write(data[: len(data) // 2])
                self.transport.loseConnection()
            case "garbage":
                self.transport.write(os.urandom(len(data)))
            case "drip":
                for n, octet in enumerate(data):
                    self.relay.reactor.callLater(0.1 * n, self._drop, bytes([octet]))
            case "endless":
                self.transport.registerProducer(self, False)
            case "silent":
                pass

    def _drop(self, octet: bytes) -> None:
        if not self._lost:
            self.transport.write(octet)


class _ToServer(ClientFactory):
    noisy = False

    def __init__(self, inside: _Inside) -> None:
        self._inside = inside

    def buildProtocol(self, addr: IAddress | None) -> "_Outside":  # noqa: ARG002
        return _Outside(self._inside)

    def clientConnectionFailed(self, *_: Any) -> None:
        self._inside.transport.abortConnection()


class _Outside(Protocol):
    """To the server."""

    transport: Any

    def __init__(self, inside: _Inside) -> None:
        self._inside = inside

    def connectionMade(self) -> None:
        self._inside.joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._inside.deliver(data)

    def connectionLost(self, *_: Any) -> None:
        if self._inside.relay.mode != "silent":
            self._inside.transport.loseConnection()

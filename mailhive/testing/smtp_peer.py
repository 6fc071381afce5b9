"""An SMTP server that says what a test wants: for peers that no real server imitates.

    peer = SmtpPeer(replies={"RCPT": ["450 4.2.0 Not now"]})
    port = await peer.start(reactor)

Each entry of `replies` is for the next command of that verb; without one the
server does as a good one would.  `CLOSE` ends the connection, `HANG` says nothing.
"""

from collections.abc import Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.protocol import Factory as ProtocolFactory
from twisted.protocols.basic import LineReceiver

__all__ = ["CLOSE", "HANG", "SmtpPeer"]

CLOSE = "CLOSE"
HANG = "HANG"

_USUAL = {
    "GREETING": "220 peer.example ESMTP",
    "HELO": "250 peer.example",
    "MAIL": "250 2.1.0 OK",
    "RCPT": "250 2.1.5 OK",
    "DATA": "354 Go on",
    "END": "250 2.0.0 Accepted",
    "RSET": "250 2.0.0 OK",
    "QUIT": "221 2.0.0 Bye",
    "STARTTLS": "220 2.0.0 Go on",
    "AUTH": "235 2.7.0 Welcome",
}


@define(eq=False)
class SmtpPeer:
    """`extensions` are EHLO's lines; `context_factory` is for STARTTLS.

    `commands` has what came in, one list for each connection, `messages` the contents.
    """

    replies: dict[str, list[str]] = Factory(dict)
    extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000")
    context_factory: Any = None
    interface: str = "127.0.0.1"
    commands: list[list[str]] = Factory(list)
    messages: list[bytes] = Factory(list)
    connections: list[Any] = Factory(list)
    _port: Any = None

    async def start(self, reactor: Any, port: int = 0) -> int:
        """Listen; the port."""
        factory = ProtocolFactory.forProtocol(lambda: _Peer(self))
        self._port = reactor.listenTCP(port, factory, interface=self.interface)
        found: int = self._port.getHost().port
        return found

    async def stop(self) -> None:
        for connection in list(self.connections):
            connection.transport.abortConnection()
        await self._port.stopListening()

    def take(self, verb: str) -> str:
        """The next reply to a verb."""
        waiting = self.replies.get(verb)
        if waiting:
            return waiting.pop(0)
        if verb == "EHLO":
            lines = ["peer.example greets you", *self.extensions]
            return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])
        return _USUAL.get(verb, "500 5.5.1 What?")


class _Peer(LineReceiver):
    MAX_LENGTH = 100_000
    transport: Any

    def __init__(self, peer: SmtpPeer) -> None:
        self._peer = peer
        self._content: list[bytes] | None = None
        self._commands: list[str] = []

    def connectionMade(self) -> None:
        self._peer.connections.append(self)
        self._peer.commands.append(self._commands)
        self._say("GREETING")

    def connectionLost(self, *_: Any) -> None:
        self._peer.connections.remove(self)

    def lineReceived(self, line: bytes) -> None:
        if self._content is not None:
            if line != b".":
                self._content.append(line.removeprefix(b"."))
                return
            self._peer.messages.append(b"".join(part + b"\r\n" for part in self._content))
            self._content = None
            self._say("END")
            return
        command = line.decode()
        self._commands.append(command)
        verb = command.partition(" ")[0].upper()
        reply = self._say(verb)
        if verb == "DATA" and reply.startswith("354"):
            self._content = []
        elif verb == "STARTTLS" and reply.startswith("220"):
            self.transport.startTLS(self._peer.context_factory)
        elif verb == "QUIT":
            self.transport.loseConnection()

    def _say(self, verb: str) -> str:
        reply = self._peer.take(verb)
        if reply == CLOSE:
            self.transport.abortConnection()
        elif reply != HANG:
            self.sendLine(reply.encode())
        return reply

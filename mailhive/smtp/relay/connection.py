"""A connection to another server: the wire of `smtp.client` on a Twisted transport."""

from collections import deque
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.smtp.answers import BadReply, ReplyReader
from mailhive.smtp.client import Disconnected
from mailhive.smtp.relay.tls import DaneCertificate
from mailhive.smtp.replies import SmtpReply

__all__ = ["Connection"]

#: Seconds for a TLS handshake, and for the server to take what is sent.
_HANDSHAKE = 60.0
_DRAIN = 180.0  # RFC 5321 §4.5.3.2.5
#: Replies that nobody has asked for.
_MOST_UNREAD = 200


@implementer(IPushProducer, IHandshakeListener)
class Connection(Protocol):
    """`creator` makes the TLS side of the connection (`IOpenSSLClientConnectionCreator`)."""

    transport: Any

    def __init__(self, reactor: Any, creator: Any, *, implicit_tls: bool = False) -> None:
        self._reactor = reactor
        self._creator = creator
        self._reader = ReplyReader()
        self._replies: deque[SmtpReply] = deque()
        self._waiting: Deferred[None] | None = None
        self._paused: Deferred[None] | None = None
        self._handshake: Deferred[None] | None = None
        self._end: str | None = None  # why there is nothing more to come
        self._implicit_tls = implicit_tls

    # Protocol

    def connectionMade(self) -> None:
        if not self._implicit_tls:
            self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._end is not None:
            return
        try:
            self._replies.extend(self._reader.receive(data))
        except BadReply as error:
            self.abort(str(error))
            return
        if len(self._replies) > _MOST_UNREAD:
            self.abort("The server answers what it was not asked")
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end = self._end or _why(reason)
        self._wake()

    def handshakeCompleted(self) -> None:
        self.transport.registerProducer(self, True)
        if self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            handshake.callback(None)

    # IPushProducer

    def pauseProducing(self) -> None:
        if self._paused is None:
            self._paused = Deferred()

    def resumeProducing(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    # The wire

    def write(self, octets: bytes) -> None:
        if self._end is None:
            self.transport.write(octets)

    async def drained(self) -> None:
        """Wait until the server took what was sent.  `Disconnected` if it does not."""
        if self._paused is not None:
            await self._wait(self._paused, _DRAIN, "The server does not take the message")
        if self._end is not None:
            raise Disconnected(self._end)

    async def reply(self, seconds: float) -> SmtpReply:
        """The next reply, which may take so long."""
        while not self._replies:
            if self._end is not None:
                raise Disconnected(self._end)
            self._waiting = Deferred()
            await self._wait(self._waiting, seconds, f"No answer within {seconds:g} seconds")
        return self._replies.popleft()

    async def start_tls(self) -> None:
        """A handshake; nothing may have come after the server's word that it is ready."""
        if self._replies or not self._reader.is_empty:  # RFC 3207 §4.2
            self.abort("The server sent more before TLS was started")
            raise Disconnected("The server sent more before TLS was started")
        self.transport.unregisterProducer()
        self._handshake = Deferred()
        self.transport.startTLS(self._creator)
        await self._wait(self._handshake, _HANDSHAKE, "No end of the TLS handshake")
        if self._end is None and isinstance(self._creator, DaneCertificate):
            chain = self.transport.getHandle().get_peer_cert_chain(as_cryptography=True)
            if problem := self._creator.problem(chain or ()):
                self.abort(f"DANE: {problem}")
        if self._end is not None:
            raise Disconnected(self._end)

    def abort(self, why: str) -> None:
        """Use the connection no more."""
        self._end = self._end or why
        self.transport.abortConnection()
        self._wake()

    async def _wait(self, event: Deferred[None], seconds: float, why: str) -> None:
        try:
            await event.addTimeout(seconds, self._reactor)
        except DeferredTimeout:
            self.abort(why)
            raise Disconnected(why) from None

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
        if self._end is not None:
            self.resumeProducing()
            handshake, self._handshake = self._handshake, None
            if handshake is not None:
                handshake.callback(None)


def _why(reason: Failure) -> str:
    if isinstance(reason.value, SSL.Error):
        parts = [text for error in reason.value.args[0] or () for text in error[-1:] if text]
        return "; ".join(parts) or "TLS error"
    return reason.getErrorMessage().rstrip(".") or "Connection lost"

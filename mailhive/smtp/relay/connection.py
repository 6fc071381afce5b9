"""A connection to another server: the wire of `smtp.client` on a Twisted transport."""

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.smtp.answers import BadReply, ReplyReader
from mailhive.smtp.client import Disconnected
from mailhive.smtp.dialogue import Dialogue
from mailhive.smtp.relay.tls import DaneCertificate
from mailhive.smtp.replies import SmtpReply

__all__ = ["Connection"]

#: Seconds for a TLS handshake, and for the server to take what is sent.
_HANDSHAKE = 60.0
_DRAIN = 180.0  # RFC 5321 §4.5.3.2.5
#: Replies that nobody has asked for.
_MOST_UNREAD = 200


@implementer(IHandshakeListener)
class Connection(Dialogue[SmtpReply]):
    """`creator` makes the TLS side of the connection (`IOpenSSLClientConnectionCreator`)."""

    gone = Disconnected

    def __init__(self, reactor: Any, creator: Any, *, implicit_tls: bool = False) -> None:
        super().__init__(reactor)
        self._creator = creator
        self._reader = ReplyReader()
        self._handshake: Deferred[None] | None = None
        self._implicit_tls = implicit_tls

    # Protocol

    def connectionMade(self) -> None:
        if not self._implicit_tls:
            self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._end is not None:
            return
        try:
            self.unread.extend(self._reader.receive(data))
        except BadReply as error:
            self.abort(str(error))
            return
        if len(self.unread) > _MOST_UNREAD:
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

    # The wire

    async def drained(self) -> None:
        """Wait until the server took what was sent.  `Disconnected` if it does not."""
        await self._room(_DRAIN, "The server does not take the message")

    async def reply(self, seconds: float) -> SmtpReply:
        """The next reply, which may take so long."""
        return await self._next(seconds)

    async def start_tls(self) -> None:
        """A handshake; nothing may have come after the server's word that it is ready."""
        if self.unread or not self._reader.is_empty:  # RFC 3207 §4.2
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
        self._check()

    def _wake(self) -> None:
        super()._wake()
        if self._end is not None and self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            handshake.callback(None)


def _why(reason: Failure) -> str:
    if isinstance(reason.value, SSL.Error):
        parts = [text for error in reason.value.args[0] or () for text in error[-1:] if text]
        return "; ".join(parts) or "TLS error"
    return reason.getErrorMessage().rstrip(".") or "Connection lost"

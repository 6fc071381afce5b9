"""A connection: time, flow control and TLS around the machine.

Reading from a peer pauses while one of its commands is being answered and while
it does not take its replies, so that what a connection can hold of memory is
about one read's worth of input and one write buffer of output.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.edge.binding import channel_bindings
from mailhive.smtp import replies
from mailhive.smtp.checks import Encryption
from mailhive.smtp.events import Event, MessageData, MessageRefused, StartTls, TransactionEnd
from mailhive.smtp.policy import SmtpSettings
from mailhive.smtp.session import Answer, Session
from mailhive.smtp.trace import address_literal
from mailhive.smtp.wire import Profile, SmtpServer
from mailhive.smtp.wiretap import Tap

__all__ = ["Server", "SmtpProtocol", "peer_host"]

#: Seconds a peer has at most to take our last words and close its side.
LINGER = 10.0

_log = Logger()


@frozen
class Server:
    """What all connections of a listener share.

    `context_factory` is the TLS context for STARTTLS, `implicit_tls` says that
    the transports are encrypted from the start, `session` makes a `Session`.
    """

    name: str
    profile: Profile
    settings: SmtpSettings
    services: Any
    reactor: Any
    implicit_tls: bool
    context_factory: Any
    session: Callable[..., Session] = Session


@implementer(IPushProducer, IHalfCloseableProtocol, IHandshakeListener)
class SmtpProtocol(Protocol):
    """One connection.

    As the producer of its own transport it learns when the peer stops taking
    replies (`pauseProducing`) and goes on (`resumeProducing`).  Not during a TLS
    handshake: the transport would then pause it for want of input, which it
    would stop reading.
    """

    transport: Any

    def __init__(
        self,
        server: Server,
        when_closed: Callable[["SmtpProtocol"], None],
        *,
        wiretap: bool = False,
    ) -> None:
        self._server = server
        self._wiretap = wiretap
        self._when_closed = when_closed
        self._pumping = False
        self._choked = False  # the peer does not take its replies
        self._reading = True
        self._eof = False
        self._hung_up = False
        self._lost = False
        self._tap: Tap | None = None
        self._timer: IDelayedCall | None = None
        self._lifetime: IDelayedCall | None = None

    def connectionMade(self) -> None:
        server = self._server
        peer = peer_host(self.transport.getPeer())
        self._machine = SmtpServer(
            server.profile,
            peer=address_literal(peer),
            tls=server.implicit_tls,
            bindings=lambda: channel_bindings(self.transport),
        )
        self._session = server.session(
            services=server.services,
            listener=server.name,
            peer=peer,
            clock=server.reactor,
            log=_log,
            port=getattr(self.transport.getPeer(), "port", 0),
            encryption=self._encryption,
        )
        if self._wiretap:
            self._tap = Tap(server.name, peer, self._session.connection)
        self._lifetime = server.reactor.callLater(
            server.settings.session_timeout, self._out_of_time
        )
        if not server.implicit_tls:
            self.transport.registerProducer(self, True)
        self._pump()

    def handshakeCompleted(self) -> None:
        if not self._hung_up:
            self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if self._tap is not None:
            self._tap.received(data)
        self._machine.receive_data(data)
        self._pump()

    def readConnectionLost(self) -> None:
        self._eof = True
        self._machine.receive_eof()
        self._pump()

    def writeConnectionLost(self) -> None:
        self.transport.abortConnection()

    def connectionLost(self, _: Failure = connectionDone) -> None:
        self._lost = True
        self._choked = False
        if self._tap is not None:
            self._tap.ended()
        for call in (self._timer, self._lifetime):
            if call is not None and call.active():
                call.cancel()
        self._machine.close()
        self._pump()
        self._session.disconnected()
        self._when_closed(self)

    def drain(self) -> None:
        """Close as soon as no message is under way."""
        self._machine.shut_down()
        self._pump()

    # IPushProducer

    def pauseProducing(self) -> None:
        self._choked = True
        self._set_reading()

    def resumeProducing(self) -> None:
        self._choked = False
        self._set_timer(self._server.settings.command_timeout)
        self._pump()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    # The machine's events

    def _pump(self) -> None:
        if self._pumping or self._choked:
            return
        self._pumping = True
        try:
            while (event := self._machine.next_event()) is not None:
                self._handle(event)
        finally:
            self._pumping = False
        if not self._lost:
            self._settle(self._flush())

    def _handle(self, event: Event) -> None:
        match event:
            case MessageData(data):
                fault = self._session.data(data)
                if fault is not None:
                    self._machine.refuse(fault)
            case MessageRefused():
                self._session.abandon()
            case TransactionEnd():
                self._session.end(event)
            case StartTls():
                self._flush()
                self.transport.unregisterProducer()
                self.transport.startTLS(self._server.context_factory)
                self._machine.tls_started()
            case _:  # a question
                answer = Deferred.fromCoroutine(self._session.answer(event))
                answer.addCallback(self._answered)
                answer.addErrback(self._broken)

    def _answered(self, reply: Answer) -> None:
        self._machine.answer(reply)
        self._pump()

    def _broken(self, failure: Failure) -> None:
        _log.failure("{listener}: connection given up", failure, listener=self._server.name)
        self.transport.abortConnection()

    # Output, input and time

    def _flush(self) -> bool:
        """Send what there is to send; was there anything?"""
        data = self._machine.data_to_send()
        if data and not self._lost:
            if self._tap is not None:
                self._tap.sent(data)
            self.transport.write(data)
        return bool(data)

    def _settle(self, replied: bool) -> None:
        """Bring reading and the timer in line with the machine's state."""
        if self._machine.closed:
            self._hang_up()
            return
        self._set_reading()
        settings = self._server.settings
        if self._machine.waiting:
            self._set_timer(None)  # it is our turn
        elif self._machine.receiving:
            self._set_timer(settings.data_timeout)
        elif replied or self._timer is None:
            # Not when a part of a command came: it is the command that has a time.
            self._set_timer(settings.command_timeout)

    def _set_reading(self) -> None:
        if self._eof or self._lost:
            return
        waits = self._machine.waiting and not self._machine.expects_silence
        reading = self._machine.closed or not (waits or self._choked)
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if seconds is not None and not self._lost:
            self._timer = self._server.reactor.callLater(seconds, self._out_of_time)

    def _out_of_time(self) -> None:
        if self._choked or self._hung_up:
            self.transport.abortConnection()
        else:
            self._machine.close(replies.TIMED_OUT)  # RFC 5321 §4.5.3.2
            self._pump()

    def _hang_up(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            self._set_timer(min(LINGER, self._server.settings.command_timeout))
            self._set_reading()  # TLS closes in both directions
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _encryption(self) -> Encryption | None:
        if not self._machine.tls:
            return None
        tls = self.transport.getHandle()
        return Encryption(
            tls.get_protocol_version_name(), tls.get_cipher_name() or "", tls.get_cipher_bits() or 0
        )


def peer_host(address: Any) -> str:
    """The IP address of a peer; "" when it has none (a Unix socket)."""
    host = getattr(address, "host", "")
    return host if isinstance(host, str) else ""

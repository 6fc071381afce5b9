"""Connections to filters: the `Link` of a `Conversation` on a Twisted transport."""

from collections import deque
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.config.milter import MilterSettings, parse_address
from mailhive.smtp.milter.packets import BadPacket, Packet, PacketReader

__all__ = ["FilterGone", "FilterLink", "connect"]

#: Packets that wait to be looked at before reading stops.
_MOST_UNREAD = 16


class FilterGone(Exception):
    """A filter cannot be reached, or does not answer; str() says why."""


async def connect(settings: MilterSettings, reactor: Any) -> "FilterLink":
    """A connection to the filter of these settings; `FilterGone` if there is none."""
    place = parse_address(settings.address)
    endpoint: Any
    if isinstance(place, str):
        endpoint = UNIXClientEndpoint(reactor, place, timeout=settings.timeout)
    else:
        host, port = place
        endpoint = HostnameEndpoint(reactor, host, port, timeout=settings.timeout)
    factory = Factory.forProtocol(FilterLink)
    factory.noisy = False
    try:
        link: FilterLink = await endpoint.connect(factory)
    except (ConnectError, ConnectingCancelledError, CancelledError, OSError) as error:
        raise FilterGone(str(error).rstrip(".") or "no connection") from error
    link.set_patience(reactor, settings.timeout, settings.message_timeout)
    return link


@implementer(IPushProducer)
class FilterLink(Protocol):
    """One connection; see `Link`.  Made by `connect`."""

    transport: Any

    def __init__(self) -> None:
        self._reader = PacketReader()
        self._packets: deque[Packet] = deque()
        self._waiting: Deferred[None] | None = None
        self._full: Deferred[None] | None = None
        self._end: Exception | None = None
        self._is_reading = True

    def set_patience(self, reactor: Any, usual: float, most: float) -> None:
        """Seconds that an answer may take, and one to the end of a message."""
        self._reactor = reactor
        self._usual = usual
        self._most = most

    # Protocol and IPushProducer

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        try:
            self._packets.extend(self._reader.receive(data))
        except BadPacket as error:
            self._give_up(error)
        self._set_reading()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        why = reason.getErrorMessage().rstrip(".")
        self._end = self._end or FilterGone(f"The connection ended: {why}")
        self._wake()

    def pauseProducing(self) -> None:
        if self._full is None:
            self._full = Deferred()

    def resumeProducing(self) -> None:
        full, self._full = self._full, None
        if full is not None:
            full.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    # Link

    def send(self, octets: bytes) -> None:
        """Send, without waiting."""
        if self._end is None:
            self.transport.write(octets)

    async def ready(self) -> None:
        """Wait until the filter takes more."""
        if self._full is not None:
            await self._wait(self._full, self._usual, "The filter does not take the message")
        if self._end is not None:
            raise self._end

    async def receive(self, *, patient: bool = False) -> Packet:
        """The next packet; `FilterGone` if there will be none, or not in time."""
        while not self._packets:
            if self._end is not None:
                raise self._end
            self._waiting = Deferred()
            seconds = self._most if patient else self._usual
            await self._wait(self._waiting, seconds, f"No answer within {seconds:g} seconds")
        answer = self._packets.popleft()
        self._set_reading()
        return answer

    def close(self) -> None:
        """Send what is to be sent, and end."""
        self._end = self._end or FilterGone("The client is gone")
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._wake()

    def abort(self) -> None:
        """End at once."""
        self._give_up(FilterGone("Given up"))

    def _give_up(self, why: Exception) -> None:
        self._end = self._end or why
        self.transport.abortConnection()
        self._wake()

    async def _wait(self, event: Deferred[None], seconds: float, why: str) -> None:
        try:
            await event.addTimeout(seconds, self._reactor)
        except DeferredTimeout:
            self._give_up(FilterGone(why))

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
        if self._end is not None:
            self.resumeProducing()

    def _set_reading(self) -> None:
        reading = len(self._packets) < _MOST_UNREAD
        if reading is not self._is_reading and self._end is None:
            self._is_reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

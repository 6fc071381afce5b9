"""Connections to filters: the `Link` of a `Conversation` on a Twisted transport."""

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from mailhive.config.milter import MilterSettings, parse_address
from mailhive.smtp.dialogue import Dialogue
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
    factory = Factory.forProtocol(
        lambda: FilterLink(reactor, settings.timeout, settings.message_timeout)
    )
    factory.noisy = False
    try:
        link: FilterLink = await endpoint.connect(factory)
    except (ConnectError, ConnectingCancelledError, CancelledError, OSError) as error:
        raise FilterGone(str(error).rstrip(".") or "no connection") from error
    return link


class FilterLink(Dialogue[Packet]):
    """One connection; see `Link`.  Made by `connect`.

    An answer may take `usual` seconds, and one to the end of a message `most`.
    """

    gone = FilterGone

    def __init__(self, reactor: Any, usual: float, most: float) -> None:
        super().__init__(reactor)
        self._reader = PacketReader()
        self._usual = usual
        self._most = most
        self._is_reading = True

    # Protocol

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        try:
            self.unread.extend(self._reader.receive(data))
        except BadPacket as error:
            self.abort(str(error))
        self._set_reading()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        why = reason.getErrorMessage().rstrip(".")
        self._end = self._end or f"The connection ended: {why}"
        self._wake()

    # Link

    def send(self, octets: bytes) -> None:
        """Send, without waiting."""
        self.write(octets)

    async def ready(self) -> None:
        """Wait until the filter takes more."""
        await self._room(self._usual, "The filter does not take the message")

    async def receive(self, *, patient: bool = False) -> Packet:
        """The next packet; `FilterGone` if there will be none, or not in time."""
        answer = await self._next(self._most if patient else self._usual)
        self._set_reading()
        return answer

    def close(self) -> None:
        """Send what is to be sent, and end."""
        self._end = self._end or "The client is gone"
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self._wake()

    def _set_reading(self) -> None:
        reading = len(self.unread) < _MOST_UNREAD
        if reading is not self._is_reading and self._end is None:
            self._is_reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

"""Sending a blob at the speed of its reader."""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from mailhive.http.body import ClientGone
from mailhive.http.request import Request

__all__ = ["Blob", "BlobSender"]

#: Octets read at a time.
PIECE = 262_144


class Blob(Protocol):
    """What `JmapApi.blob` returns."""

    @property
    def size(self) -> int:
        """Octets."""

    async def read(self, start: int, length: int) -> bytes:
        """The octets `[start, start+length)`."""


@implementer(IPushProducer)
class BlobSender:
    """Writes a range of a blob as the body of an answer.

    At most one piece waits here while the client is slow, and none is read once
    it is gone.  A client that takes nothing for `patience` seconds is dropped.
    """

    def __init__(
        self,
        request: Request,
        blob: Blob,
        *,
        patience: float,
        call_later: Callable[..., IDelayedCall],
    ) -> None:
        self._request = request
        self._blob = blob
        self._patience = patience
        self._call_later = call_later
        self._stalled: IDelayedCall | None = None
        self._room: Deferred[None] | None = None  # not None: wait for it
        self._stopped = False

    async def send(self, start: int, end: int) -> None:
        """Send the octets `[start, end)`; `ClientGone` if the client does not take them all."""
        request = self._request
        request.registerProducer(self, True)
        try:
            while start < end:
                data = await self._blob.read(start, min(PIECE, end - start))
                if not data:
                    raise EOFError(f"blob ends at octet {start}, not {end}")
                if self._room is not None:
                    await self._room
                if self._stopped:
                    raise ClientGone
                request.write(data)
                start += len(data)
        finally:
            self._forget_stall()
            if not request.gone:
                request.unregisterProducer()

    def pauseProducing(self) -> None:
        if self._room is None:
            self._room = Deferred()
            self._stalled = self._call_later(self._patience, self._request.channel.abort)

    def resumeProducing(self) -> None:
        self._forget_stall()
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        self._stopped = True
        self.resumeProducing()

    def _forget_stall(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None and stalled.active():
            stalled.cancel()

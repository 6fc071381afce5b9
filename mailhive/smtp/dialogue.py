"""The Twisted side of a dialogue that a coroutine leads: with another server, with a filter."""

from collections import deque
from typing import Any, ClassVar, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

__all__ = ["Dialogue"]

T = TypeVar("T")


@implementer(IPushProducer)
class Dialogue(Protocol, Generic[T]):
    """What comes in waits to be taken, and what goes out until the peer takes it.

    A subclass puts what it reads into `unread` and calls `_wake`; it registers this as the
    producer of its transport.  `gone` is what is raised, with the words why, when there is
    nothing more to come or to be sent.
    """

    transport: Any
    gone: ClassVar[type[Exception]]

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.unread: deque[T] = deque()
        self._end: str | None = None  # why there is nothing more to come
        self._waiting: Deferred[None] | None = None
        self._full: Deferred[None] | None = None

    # IPushProducer

    def pauseProducing(self) -> None:
        if self._full is None:
            self._full = Deferred()

    def resumeProducing(self) -> None:
        full, self._full = self._full, None
        if full is not None:
            full.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    # For the coroutine

    def write(self, octets: bytes) -> None:
        """Send, without waiting."""
        if self._end is None:
            self.transport.write(octets)

    def abort(self, why: str) -> None:
        """End at once."""
        self._end = self._end or why
        self.transport.abortConnection()
        self._wake()

    async def _room(self, seconds: float, why: str) -> None:
        """Wait until the peer takes more, else abort for that reason; raises `gone`."""
        if self._full is not None:
            await self._wait(self._full, seconds, why)
        self._check()

    async def _next(self, seconds: float) -> T:
        """What comes next, which may take so long; raises `gone`."""
        while not self.unread:
            self._check()
            self._waiting = Deferred()
            await self._wait(self._waiting, seconds, f"No answer within {seconds:g} seconds")
        return self.unread.popleft()

    async def _wait(self, event: Deferred[None], seconds: float, why: str) -> None:
        try:
            await event.addTimeout(seconds, self._reactor)
        except DeferredTimeout:
            self.abort(why)
            raise self.gone(why) from None

    def _check(self) -> None:
        if self._end is not None:
            raise self.gone(self._end)

    def _wake(self) -> None:
        """Have whoever waits look again."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
        if self._end is not None:
            self.resumeProducing()

"""One owner at a time for each message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock

__all__ = ["Locks"]


class Locks:
    """A lock by message id, there as long as somebody has it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, DeferredLock] = {}

    def acquire(self, message_id: str) -> Deferred[Any]:
        return self._locks.setdefault(message_id, DeferredLock()).acquire()

    def release(self, message_id: str) -> None:
        """Let the next one have it."""
        lock = self._locks[message_id]
        lock.release()
        if not lock.locked:
            del self._locks[message_id]

    @asynccontextmanager
    async def having(self, message_id: str) -> AsyncIterator[None]:
        await self.acquire(message_id)
        try:
            yield
        finally:
            self.release(message_id)

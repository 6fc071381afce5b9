"""An event source's client (RFC 8620 §7.3, HTML §9.2)."""

from typing import Any

import treq
from twisted.internet.defer import Deferred

__all__ = ["Events"]


class Events:
    """An event source's client: events as dicts of their fields, comments left out."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.ended: Deferred[None] = Deferred()
        self._buffer = b""
        self._events: list[dict[str, str]] = []
        self._waiting: Deferred[None] | None = None
        done = treq.collect(response, self._received)
        done.addBoth(lambda _: self.ended.callback(None))

    def _received(self, data: bytes) -> None:
        self._buffer += data
        while b"\n\n" in self._buffer:
            block, self._buffer = self._buffer.split(b"\n\n", 1)
            lines = [line for line in block.decode().split("\n") if not line.startswith(":")]
            if lines:
                self._events.append(dict(line.split(": ", 1) for line in lines))
        if self._waiting is not None and self._events:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    async def next(self) -> dict[str, str]:
        if not self._events:
            self._waiting = Deferred()
            await self._waiting
        return self._events.pop(0)

"""Who has a message: any number of attempts at once, or one who holds it."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import Factory, define
from twisted.internet.defer import Deferred

__all__ = ["Claims"]


@define(eq=False)
class _Claim:
    attempts: int = 0
    is_held: bool = False
    waiting: deque[tuple[bool, Deferred[None]]] = Factory(deque)  # is it a hold?

    def advance(self) -> None:
        """Let in who has waited longest, and who can go with it."""
        while self.waiting and not self.is_held:
            is_hold, granted = self.waiting[0]
            if is_hold and self.attempts:
                return
            self.waiting.popleft()
            if is_hold:
                self.is_held = True
            else:
                self.attempts += 1
            granted.callback(None)

    @property
    def is_idle(self) -> bool:
        return not (self.attempts or self.is_held or self.waiting)


class Claims:
    """By message id, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._claims: dict[str, _Claim] = {}

    def hold(self, message_id: str) -> Deferred[None]:
        """Wait until nobody else has it; can be canceled while it waits."""
        return self._ask(message_id, is_hold=True)

    def release(self, message_id: str) -> None:
        """End a hold."""
        self._claims[message_id].is_held = False
        self._advance(message_id)

    @asynccontextmanager
    async def attempting(self, message_id: str) -> AsyncIterator[None]:
        """Have it together with other attempts."""
        await self._ask(message_id, is_hold=False)
        try:
            yield
        finally:
            self._claims[message_id].attempts -= 1
            self._advance(message_id)

    def _ask(self, message_id: str, *, is_hold: bool) -> Deferred[None]:
        claim = self._claims.setdefault(message_id, _Claim())

        def cancel(granted: Deferred[None]) -> None:
            claim.waiting.remove((is_hold, granted))
            self._advance(message_id)

        asked: Deferred[None] = Deferred(cancel)
        claim.waiting.append((is_hold, asked))
        claim.advance()
        return asked

    def _advance(self, message_id: str) -> None:
        claim = self._claims[message_id]
        claim.advance()
        if claim.is_idle:
            self._claims.pop(message_id, None)

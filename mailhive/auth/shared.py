"""Asking once for all who want the same answer at the same time."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred

__all__ = ["Shared"]


class Shared:
    """Runs of functions, by key.

    A run goes on when who asked for it first does not wait any longer.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[Any]]] = {}

    def is_running(self, key: Hashable) -> bool:
        return key in self._waiting

    def run(self, key: Hashable, function: Callable[[], Awaitable[Any]]) -> Deferred[Any]:
        """Fire with what `function()` comes to, or a run of this key that has begun."""
        done: Deferred[Any] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(done)
            return done
        self._waiting[key] = [done]
        running: Deferred[Any] = Deferred.fromCoroutine(_awaited(function))
        running.addBoth(self._finish, key)
        return done

    def _finish(self, result: Any, key: Hashable) -> None:
        for done in self._waiting.pop(key):
            if not done.called:  # it may have been cancelled
                done.callback(result)  # a Failure fails it


async def _awaited(function: Callable[[], Awaitable[Any]]) -> Any:
    return await function()

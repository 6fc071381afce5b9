"""The WebSockets and event sources that are open, and whether they still may be.

A request is over before anything has changed about who sent it; these last for days.
So each is looked at every now and then: when the login that opened it holds no longer
it is ended, and when other accounts can be reached it hears of those instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailhive.auth.grant import Grant
from mailhive.errors import TemporaryFailure
from mailhive.jmap.errors import RequestError
from mailhive.model.principal import Principal

__all__ = ["CHECK", "Stream", "Streams"]

_log = Logger()

#: Seconds after which a stream is looked at again.
CHECK = 30.0
#: Seconds for which nobody may be able to tell whether a login still holds.
PATIENCE = 300.0
#: Logins that are looked at side by side.
AT_A_TIME = 16


class Stream(Protocol):
    """What is open."""

    def end(self) -> None:
        """The server stops; idempotent."""

    def revoke(self) -> None:
        """The login holds no longer; idempotent."""

    def reach(self, principal: Principal, account_ids: frozenset[str]) -> None:
        """The principal as it is now, and the accounts that it can reach now."""


@define(eq=False)
class _Open:
    grant: Grant
    looked: float  # at it, in seconds of the reactor
    known: float  # when it was last known that the login holds


@define(eq=False)
class Streams:
    """Those of one listener; `api` is the `JmapApi`."""

    _api: Any
    _reactor: Any
    _open: dict[Stream, _Open] = field(factory=dict)  # looked at longest ago first
    _loop: LoopingCall | None = None

    @contextmanager
    def opened(self, stream: Stream, grant: Grant) -> Iterator[None]:
        """Look after a stream, which `grant` opened, for as long as it lasts."""
        now = self._reactor.seconds()
        self._open[stream] = _Open(grant, now, now)
        self._start()
        try:
            yield
        finally:
            self._open.pop(stream, None)

    def end(self) -> None:
        """End all, as the server stops."""
        for stream in tuple(self._open):
            stream.end()

    def _start(self) -> None:
        if self._loop is None:
            self._loop = LoopingCall(lambda: ensureDeferred(self._round()))
            self._loop.clock = self._reactor
            self._loop.start(CHECK / 30, now=False)

    async def _round(self) -> None:
        if not self._open and self._loop is not None:
            self._loop.stop()
            self._loop = None
        now = self._reactor.seconds()
        due = iter([*takewhile(lambda pair: pair[1].looked <= now - CHECK, self._open.items())])
        while some := [*islice(due, AT_A_TIME)]:
            await gatherResults([ensureDeferred(self._look(*pair)) for pair in some])

    async def _look(self, stream: Stream, opened: _Open) -> None:
        opened.looked = self._reactor.seconds()
        if self._open.pop(stream, None) is None:  # it has ended since
            return
        self._open[stream] = opened
        try:
            principal = await opened.grant.renewed()
            if principal is None:
                stream.revoke()
                return
            account_ids = await self._api.account_ids(principal)
            opened.known = opened.looked
            if stream in self._open:
                stream.reach(principal, frozenset(account_ids))
        except TemporaryFailure:
            if opened.looked - opened.known > PATIENCE:
                stream.revoke()
        except RequestError:  # no account is left
            stream.revoke()
        except Exception:
            _log.failure("whether a login holds could not be looked at")
            stream.revoke()

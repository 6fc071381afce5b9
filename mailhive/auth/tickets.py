"""Tickets: a login for one connection, for clients that cannot send a header.

A browser lets a script choose the URL of a WebSocket or of an event source and
nothing else.  A ticket is what may stand in such a URL, which proxies log and
histories keep: it is worth nothing once it was used, or a minute later.
"""

from collections.abc import Callable, Sequence
from secrets import token_urlsafe
from typing import Any

from mailhive.auth.grant import Grant, Shown
from mailhive.model.principal import Principal

__all__ = ["LIFE", "SharedTickets", "Tickets"]

#: Seconds for which a ticket can be used.
LIFE = 60
#: Unused tickets of a user, and of all; beyond these the oldest go.
OF_ONE = 64
OF_ALL = 100_000


class Tickets:
    """The tickets that were issued and not used; `now()` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # Both oldest first, as all live equally long.
        self._issued: dict[str, tuple[float, Grant]] = {}
        self._of: dict[str, dict[str, None]] = {}

    def issue(self, grant: Grant) -> str:
        """A new ticket for who was let in, of characters that need no escape in a URL."""
        self._expire()
        name = grant.principal.name
        own = self._of.setdefault(name, {})
        if len(own) >= OF_ONE:
            self._take(next(iter(own)))
        elif len(self._issued) >= OF_ALL:
            self._take(next(iter(self._issued)))
        ticket = self._new()
        self._issued[ticket] = self._now() + LIFE, grant
        self._of.setdefault(name, {})[ticket] = None
        return ticket

    def redeem(self, ticket: str) -> Grant | None:
        """What it was issued for, once; None if there is no such ticket any more."""
        self._expire()
        return self._take(ticket)

    async def redeem_anywhere(self, ticket: str) -> Grant | None:
        """The same, whatever process has issued it."""
        return self.redeem(ticket)

    def _new(self) -> str:
        return token_urlsafe(32)

    def _expire(self) -> None:
        now = self._now()
        while self._issued:
            ticket, (until, _) = next(iter(self._issued.items()))
            if until > now:
                return
            self._take(ticket)

    def _take(self, ticket: str) -> Grant | None:
        issued = self._issued.pop(ticket, None)
        if issued is None:
            return None
        grant = issued[1]
        own = self._of[grant.principal.name]
        del own[ticket]
        if not own:
            del self._of[grant.principal.name]
        return grant


class SharedTickets(Tickets):
    """Those of one of several processes, `peers` (`IPeers`), which have the same `strategies`.

    A ticket names the process that has issued it, which is asked for it.
    """

    def __init__(self, now: Callable[[], float], peers: Any, strategies: Sequence[Any]) -> None:
        super().__init__(now)
        self._peers = peers
        self._strategies = strategies
        peers.serve("tickets.redeem", self._redeem_for)

    async def redeem_anywhere(self, ticket: str) -> Grant | None:
        """`TemporaryFailure` if the process that has issued it cannot say now."""
        number, dot, _ = ticket.partition(".")
        worker = int(number) if dot and number.isdecimal() and len(number) < 4 else -1
        if worker == self._peers.index:
            return self.redeem(ticket)
        if not 0 <= worker < self._peers.count:
            return None
        found: tuple[Principal, int, Any, str] | None
        found = await self._peers.call(worker, "tickets.redeem", ticket)
        if found is None:
            return None
        principal, strategy, headers, peer = found
        return Grant(principal, Shown(strategy, self._strategies[strategy], headers, peer))

    def _new(self) -> str:
        return f"{self._peers.index}.{super()._new()}"

    def _redeem_for(self, _: object, ticket: str) -> tuple[Principal, int, Any, str] | None:
        grant = self.redeem(ticket)
        if grant is None or not isinstance(grant.ask, Shown):
            return None
        return grant.principal, grant.ask.number, grant.ask.headers, grant.ask.peer

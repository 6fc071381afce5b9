"""Tickets: a login for one connection, for clients that cannot send a header.

A browser lets a script choose the URL of a WebSocket or of an event source and
nothing else.  A ticket is what may stand in such a URL, which proxies log and
histories keep: it is worth nothing once it was used, or a minute later.
"""

from collections.abc import Callable
from secrets import token_urlsafe

from mailhive.auth.grant import Grant

__all__ = ["LIFE", "Tickets"]

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
        ticket = token_urlsafe(32)
        self._issued[ticket] = self._now() + LIFE, grant
        self._of.setdefault(name, {})[ticket] = None
        return ticket

    def redeem(self, ticket: str) -> Grant | None:
        """What it was issued for, once; None if there is no such ticket any more."""
        self._expire()
        return self._take(ticket)

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

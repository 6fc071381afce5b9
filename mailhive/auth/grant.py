"""What a login is while a connection lasts that it opened."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from mailhive.auth.errors import AuthenticationFailed, NoAccount, TooManyAttempts
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal

__all__ = ["Grant", "Shown"]


@frozen
class Shown:
    """Credentials that were shown, and the `IAuthenticationStrategy` that took them.

    Its number is that among all strategies.
    """

    number: int
    strategy: Any
    headers: Any = field(repr=False)
    peer: str

    def __call__(self) -> Awaitable[Principal | None]:
        """Show them again."""
        asked: Awaitable[Principal | None] = self.strategy.authenticate(self.headers, self.peer)
        return asked


@frozen
class Grant:
    """Somebody was let in: who, and whether the same credentials would still let them in.

    `ask()` shows them again to the strategy that took them; it fires with whom
    it then found.  It is usually a `Shown`.
    """

    principal: Principal
    ask: Callable[[], Awaitable[Principal | None]] = field(repr=False, eq=False)

    async def renewed(self) -> Principal | None:
        """The same principal as it is now, or None if the credentials hold no longer.

        They may have been revoked, expired or changed, or the principal disabled.
        `TemporaryFailure` when nobody can tell now.
        """
        try:
            found = await self.ask()
        except (AuthenticationFailed, NoAccount):
            return None
        except TooManyAttempts as error:  # of somebody else's, who guesses
            raise TemporaryFailure("logins are slowed down") from error
        if found is None or not found.enabled or found.name != self.principal.name:
            return None
        return found

"""Strategies in order, until one knows the credentials."""

from collections.abc import Sequence
from typing import Any

from twisted.logger import Logger

from mailhive.auth.errors import AuthenticationFailed, NoAccount, TooManyAttempts, Unauthorized
from mailhive.auth.grant import Grant, Shown
from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.model.principal import Principal

__all__ = ["Chain"]


class Chain:
    """Tries `IAuthenticationStrategy`s in order; the first that yields a user wins."""

    _log = Logger()

    def __init__(self, strategies: Sequence[Any]):
        self._strategies = tuple(strategies)

    async def authenticate(self, headers: Any, peer: str) -> Grant:
        """The `Grant` of whose credentials are in `headers`.

        When no strategy yields a user, what the first of them said that could
        not decide: `TooManyAttempts` after too many wrong ones, `TemporaryFailure`
        when it cannot be decided now, `NoAccount`.  Else `Unauthorized`: there are
        no credentials or wrong ones.  `headers` and `peer` are those of
        `IAuthenticationStrategy.authenticate`.
        """
        undecided: MailhiveError | None = None
        challenges: dict[int, str] = {}  # by number, what says more than the strategy's own
        reasons: list[str] = []
        for number, strategy in enumerate(self._strategies):
            try:
                principal: Principal | None = await strategy.authenticate(headers, peer)
            except AuthenticationFailed as error:
                if error.challenge is not None:  # others are told where the login is known
                    challenges[number] = error.challenge
                    reasons.append(str(error))
            except (NoAccount, TemporaryFailure, TooManyAttempts) as error:
                undecided = undecided or error
            else:
                if principal is not None and principal.enabled:
                    return Grant(principal, Shown(number, strategy, headers, peer))
        if undecided is not None:
            raise undecided
        if reasons:
            why = "; ".join(dict.fromkeys(reasons))
            self._log.info("Token from {peer} refused: {why}", peer=peer, why=why)
        own = [strategy.challenge for strategy in self._strategies]
        raise Unauthorized(_distinct([challenges.get(n, one) for n, one in enumerate(own)]))


def _distinct(challenges: Sequence[str | None]) -> tuple[str, ...]:
    """Each once; of several that begin alike, the one that says more."""
    given = list(dict.fromkeys(c for c in challenges if c is not None))
    return tuple(c for c in given if not any(other.startswith(f"{c}, ") for other in given))

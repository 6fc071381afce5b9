"""Strategies in order, until one knows the credentials."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from mailhive.auth.errors import AuthenticationFailed, TooManyAttempts, Unauthorized
from mailhive.model.principal import Principal

__all__ = ["Chain", "TooManyAttempts", "Unauthorized"]


class Chain:
    """Tries `IAuthenticationStrategy`s in order."""

    def __init__(self, strategies: Sequence[Any]):
        self._strategies = tuple(strategies)
        challenges = (strategy.challenge for strategy in self._strategies)
        self._challenges = tuple(dict.fromkeys(c for c in challenges if c is not None))

    def authenticate(self, headers: Any, peer: str) -> Deferred[Principal]:
        """Fire with the `Principal` whose credentials are in `headers`.

        `Unauthorized` when there are none or wrong ones, `TooManyAttempts` after
        too many wrong ones, `TemporaryFailure` when it cannot be decided now.
        `headers` and `peer` are those of `IAuthenticationStrategy.authenticate`.
        """
        return ensureDeferred(self._authenticate(headers, peer))

    async def _authenticate(self, headers: Any, peer: str) -> Principal:
        try:
            for strategy in self._strategies:
                principal: Principal | None = await strategy.authenticate(headers, peer)
                if principal is not None:
                    return principal
        except AuthenticationFailed:
            pass
        raise Unauthorized(self._challenges)

"""The Bearer authentication scheme (RFC 6750), for strategies that take tokens."""

import re
from abc import ABC, abstractmethod
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface import implementer

from mailhive.auth.claims import InvalidToken
from mailhive.auth.errors import AuthenticationFailed
from mailhive.interfaces.authentication import IAuthenticationStrategy, IBearerTokens
from mailhive.model.principal import Principal

__all__ = ["BearerStrategy", "bearer_token"]

#: Equal for all that take tokens, so that they are one challenge.
CHALLENGE = 'Bearer realm="mailhive"'
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_LONGEST = 16_384  # octets


def bearer_token(headers: Any) -> str | None:
    """The token in these headers, which may be none at all, if they are of this scheme."""
    scheme, _, credentials = (headers.get("Authorization") or "").strip(" \t").partition(" ")
    # RFC 9110 §11.1: case-insensitive
    return credentials.strip(" ") if scheme.lower() == "bearer" else None


def invalid_token(why: str) -> AuthenticationFailed:
    """The token is wrong; `why` goes to the client (RFC 6750 §3, §3.1)."""
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{why}"'
    return AuthenticationFailed(why, challenge)


@implementer(IAuthenticationStrategy, IBearerTokens)
class BearerStrategy(ABC):
    """What takes tokens derives from it and says whose they are."""

    @property
    def challenge(self) -> str | None:
        """None while nobody could have a token."""
        return CHALLENGE

    @abstractmethod
    async def principal_of(self, token: str, peer: str, service: str) -> Principal:
        """Whose token it is; `InvalidToken`, or as `IAuthenticationStrategy.authenticate` fails."""

    async def authenticate(self, headers: Any, peer: str) -> Principal | None:
        token = bearer_token(headers)
        if token is None or self.challenge is None:
            return None
        return await self._bearer(token, peer, "jmap")

    def bearer(self, token: str, peer: str, service: str) -> Deferred[Principal | None]:
        return ensureDeferred(self._bearer(token, peer, service))

    async def _bearer(self, token: str, peer: str, service: str) -> Principal | None:
        try:
            if len(token) > _LONGEST or not _TOKEN.fullmatch(token):
                raise InvalidToken("That is no token")
            return await self.principal_of(token, peer, service)
        except InvalidToken as error:
            raise invalid_token(str(error)) from None

"""What a JSON Web Token claims, and whether that holds here and now (RFC 7519 §4)."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import frozen

__all__ = ["Expectations", "Header", "InvalidToken", "read_claims", "read_header"]

_LONGEST = 16_384  # octets of a token
#: RFC 8725 §3.11: others are for something else, as `logout+jwt`.
_TYPES = {"jwt", "at+jwt"}


class InvalidToken(ValueError):
    """The token is not good; the message may be told to whoever has it (RFC 6750 §3)."""


@frozen
class Header:
    """What a token says of its signature."""

    algorithm: str
    kid: str | None


@frozen
class Expectations:
    """Of a claim set; `issuer` is None and `audience` empty for any and none.

    `leeway` is in seconds, for clocks that differ.
    """

    issuer: str | None = None
    audience: frozenset[str] = frozenset()
    leeway: float = 0.0
    requires_expiry: bool = True

    def check(self, claims: Mapping[str, Any], now: float) -> None:
        """Return if the claims are as expected; else `InvalidToken`."""
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise InvalidToken("The token is of another issuer")
        self._check_audience(claims.get("aud"))
        expires = _time(claims, "exp")
        if expires is None and self.requires_expiry:
            raise InvalidToken("The token never expires")
        if expires is not None and now >= expires + self.leeway:
            raise InvalidToken("The token has expired")
        begins = _time(claims, "nbf")
        if begins is not None and now < begins - self.leeway:
            raise InvalidToken("The token is not valid yet")
        issued = _time(claims, "iat")
        if issued is not None and now < issued - self.leeway:
            raise InvalidToken("The token comes from the future")

    def _check_audience(self, audience: Any) -> None:
        """RFC 7519 §4.1.3: who is not named does not take the token."""
        named = audience if isinstance(audience, list) else [audience]
        if audience is None and not self.audience:
            return
        if not any(isinstance(name, str) and name in self.audience for name in named):
            raise InvalidToken("The token is for another audience")


def read_header(token: str) -> Header:
    """What the token says of its signature; `InvalidToken` for what is no signed JWT."""
    if len(token) > _LONGEST or not token.isascii() or token.count(".") != 2:
        raise InvalidToken("That is no JSON Web Token")
    segment = token.partition(".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        raise InvalidToken("That is no JSON Web Token") from None
    if not isinstance(header, dict):
        raise InvalidToken("That is no JSON Web Token")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise InvalidToken("That is no JSON Web Token")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise InvalidToken("The token is of another type")
    return Header(algorithm, kid)


def read_claims(payload: bytes) -> dict[str, Any]:
    """The claim set of a payload whose signature was verified."""
    try:
        claims = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        raise InvalidToken("The token claims nothing that can be read") from None
    if not isinstance(claims, dict):
        raise InvalidToken("The token claims nothing that can be read")
    return claims


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"The token's {name} is no time")
    return value

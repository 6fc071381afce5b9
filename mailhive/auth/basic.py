"""The Basic authentication scheme (RFC 7617)."""

import re
from base64 import b64decode
from typing import Any

from attrs import Attribute, field, frozen
from zope.interface import implementer

from mailhive.auth.errors import AuthenticationFailed
from mailhive.auth.passwords import Passwords
from mailhive.interfaces.authentication import IAuthenticationStrategy
from mailhive.model.principal import Principal
from mailhive.registry import Provider

__all__ = ["PROVIDER", "BasicSettings", "BasicStrategy", "build", "parse_basic"]

_LONGEST = 2_048  # octets of base64
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _quotable(_: object, __: "Attribute[str]", value: str) -> None:
    if not value or not value.isascii() or not value.isprintable() or set(value) & {'"', "\\"}:
        raise ValueError(
            f'"{value}" cannot be a realm; allowed are printable ASCII characters '
            "except quotes and backslashes"
        )


@frozen
class BasicSettings:
    """`basic`: login and password with each request."""

    realm: str = field(
        default="mailhive",
        validator=_quotable,
        metadata={"doc": "What clients show when they ask for the password."},
    )


def parse_basic(credentials: str) -> tuple[str, str]:
    """User-id and password of the credentials behind `Basic`; `AuthenticationFailed`."""
    if len(credentials) > _LONGEST:
        raise AuthenticationFailed("the credentials are too long")
    try:
        text = b64decode(credentials, validate=True).decode("utf-8")  # RFC 7617 §2.1
    except ValueError:
        raise AuthenticationFailed("the credentials are not base64 of UTF-8") from None
    login, colon, password = text.partition(":")  # RFC 7617 §2: no colon in a user-id
    if not colon or not login or _CONTROL.search(text):
        raise AuthenticationFailed("the credentials are not a login and a password")
    return login, password


@implementer(IAuthenticationStrategy)
class BasicStrategy:
    """Login and password in the header."""

    def __init__(self, passwords: Passwords, realm: str = "mailhive"):
        self.challenge = f'Basic realm="{realm}", charset="UTF-8"'  # RFC 7617 §2.1
        self._passwords = passwords

    async def authenticate(self, headers: Any, peer: str) -> Principal | None:
        field = headers.get("Authorization")
        scheme, _, credentials = (field or "").strip(" \t").partition(" ")
        if scheme.lower() != "basic":  # RFC 9110 §11.1: case-insensitive
            return None
        login, password = parse_basic(credentials.strip(" "))
        return await self._passwords.principal_of(login, password, peer, "jmap")


def build(settings: BasicSettings, context: Any) -> BasicStrategy:
    """The strategy of these settings, for `context.directory`."""
    return BasicStrategy(Passwords(context.directory, context.throttle), settings.realm)


PROVIDER = Provider(settings=BasicSettings, build=build)

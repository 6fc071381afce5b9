"""An authentication strategy that is named by its import path: `mailhive_badge:BadgeStrategy`."""

from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from mailhive.auth.errors import AuthenticationFailed
from mailhive.config.settings import doc
from mailhive.interfaces.authentication import IAuthenticationStrategy


@frozen
class BadgeSettings:
    """Who has which badge."""

    badges: dict[str, str] = field(factory=dict, metadata=doc("Names of users, by number."))


@implementer(IAuthenticationStrategy)
class BadgeStrategy:
    """Reads the number of a badge from a header field."""

    settings = BadgeSettings
    challenge = "Badge"

    def __init__(self, settings: BadgeSettings, context: Any) -> None:
        self._badges = settings.badges
        self._directory = context.directory

    def authenticate(self, headers: Any, peer: str) -> Deferred:
        number = headers.get("X-Badge")
        if number is None:
            return succeed(None)
        if number not in self._badges:
            return fail(AuthenticationFailed("no such badge"))
        return self._directory.principal(self._badges[number])

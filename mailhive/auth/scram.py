"""Logins by SCRAM-SHA-256, whatever protocol they come by (RFC 5802, RFC 7677).

The password never comes here.  Who asks for the salt of a login that does not exist
gets one too, always the same; it is made of the login and the key of our own tokens.
"""

import hmac
from typing import Any

from attrs import evolve, frozen
from twisted.logger import Logger

from mailhive.auth.errors import AuthenticationFailed, TooManyAttempts
from mailhive.auth.throttle import Throttle
from mailhive.auth.tokens import TokenKey
from mailhive.interfaces.directory import IScramLogins
from mailhive.model.addresses import canonical_name
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin

__all__ = ["ScramPasswords"]


@frozen
class ScramPasswords:
    """Asks an `IDirectory`; `throttle` limits how often a proof is worth a look."""

    _directory: Any
    _throttle: Throttle
    _key: TokenKey
    _log = Logger()

    @property
    def is_offered(self) -> bool:
        """Can anybody log in so?"""
        directory = self._directory
        return IScramLogins.providedBy(directory) and directory.offers_scram

    async def find(self, login: str) -> ScramLogin:
        """What a proof of this login is to be checked with; made up if nobody has it.

        `AuthenticationFailed` where nobody can log in so, `TemporaryFailure`.
        """
        if not self.is_offered:
            raise AuthenticationFailed("SCRAM is not offered")
        name = canonical_name(login).encode("utf-8", "surrogatepass")
        salt = hmac.digest(self._key.derived(b"salts of SCRAM"), name, "sha256")
        found: ScramLogin = await self._directory.scram(login, salt)
        return found

    async def principal_of(
        self, login: str, found: ScramLogin, proof: str, *, right: bool, peer: str
    ) -> Principal:
        """Who has proved, or failed to prove, that they know the password.

        `found` is of `find`, `proof` tells attempts apart.  Raises what
        `Passwords.principal_of` does.
        """
        try:
            attempt = self._throttle.begin(login, proof, peer)
        except TooManyAttempts:
            self._log.warn("Login of {login!r} refused: too many failed", login=login, peer=peer)
            raise
        principal: Principal | None = None
        try:
            if right and found.name is not None:
                principal = await self._directory.principal(found.name)
        except BaseException:
            attempt.undecided()
            raise
        if principal is None or not principal.enabled:
            attempt.failed()
            self._log.info("Login of {login!r} failed", login=login, peer=peer)
            raise AuthenticationFailed("login or password is wrong")
        attempt.succeeded()
        return evolve(principal, credential=found.credential)

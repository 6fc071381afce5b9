"""Logins by password or app password, whatever protocol they come by."""

from typing import Any

from attrs import frozen
from twisted.logger import Logger

from mailhive.auth.errors import AuthenticationFailed, TooManyAttempts
from mailhive.auth.throttle import Throttle
from mailhive.interfaces.directory import IAppCredentials
from mailhive.model.principal import Principal

__all__ = ["Passwords"]


@frozen
class Passwords:
    """Asks an `IDirectory`; `throttle` limits how often that is worth a try."""

    _directory: Any
    _throttle: Throttle
    _log = Logger()

    async def principal_of(self, login: str, password: str, peer: str, service: str) -> Principal:
        """Who logs in to a service, of `model.credential.SERVICES`, from the address `peer`.

        `AuthenticationFailed`, `TooManyAttempts`, or `TemporaryFailure` when the
        directory cannot answer, which counts as no attempt.
        """
        try:
            attempt = self._throttle.begin(login, password, peer)
        except TooManyAttempts:
            self._log.warn("Login of {login!r} refused: too many failed", login=login, peer=peer)
            raise
        try:
            principal = await self._asked(login, password, service)
        except BaseException:
            attempt.undecided()
            raise
        if principal is None:
            attempt.failed()
            self._log.info("Login of {login!r} failed", login=login, peer=peer)
            raise AuthenticationFailed("login or password is wrong")
        attempt.succeeded()
        return principal

    async def _asked(self, login: str, password: str, service: str) -> Principal | None:
        principal: Principal | None = None
        if IAppCredentials.providedBy(self._directory):
            principal = await self._directory.app_password(login, password, service)
        return principal or await self._directory.authenticate(login, password)

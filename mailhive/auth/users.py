"""From the name that somebody has proved to bear elsewhere, to a principal of this server."""

from typing import Any

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.interfaces.directory import IProvisioning
from mailhive.model.addresses import canonical_address
from mailhive.model.principal import Principal

__all__ = ["Users"]


class Users:
    """The individuals of an `IDirectory`.

    With `provisioning`, who is not there is made if the directory can make them.
    """

    def __init__(self, directory: Any, *, provisioning: bool) -> None:
        self._directory = directory
        self._provisioning = provisioning

    async def named(self, name: str) -> Principal:
        """The one of that name, or with that address.

        `NoAccount` when there is none, `AuthenticationFailed` when it may not log
        in, `TemporaryFailure` when the directory cannot answer.
        """
        found = await self._directory.principal(name) or await self._addressed(name)
        if found is None and self._provisioning and IProvisioning.providedBy(self._directory):
            found = await self._directory.provision(name)
        if found is None or found.type != "individual":
            raise NoAccount("You have no account on this server.")
        if not found.enabled:
            raise AuthenticationFailed("the account is disabled")
        principal: Principal = found
        return principal

    async def _addressed(self, name: str) -> Principal | None:
        """Who has that address as their own: not by a catch-all, a list or a detail."""
        address = canonical_address(name)
        if address is None or address[0] == "@":
            return None
        reached: tuple[Principal, ...] = await self._directory.recipients(name)
        for principal in reached:
            if address in map(canonical_address, principal.emails):
                return principal
        return None

"""A directory that tests fill as they go."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailhive.config.units import Size
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.interfaces.directory import IDirectory
from mailhive.model.principal import Principal

__all__ = ["GrowingDirectory", "configured"]


def configured(principal: Principal, secret: str | None = None) -> PrincipalSettings:
    """A principal as the configuration has it."""
    return PrincipalSettings(
        name=principal.name,
        type=principal.type,  # type: ignore[arg-type]
        secret=secret,
        email=principal.emails,
        member_of=principal.member_of,
        members_may=principal.members_may,  # type: ignore[arg-type]
        quota=None if principal.quota is None else Size(principal.quota),
        description=principal.description,
        mailboxes=principal.mailboxes,  # type: ignore[arg-type]
    )


@implementer(IDirectory)
class GrowingDirectory:
    """The memory directory of the principals put into it, who have no passwords."""

    def __init__(self, offload: Callable[..., Deferred[Any]], clock: Callable[[], float]) -> None:
        self._offload = offload
        self._clock = clock
        self._principals: dict[str, PrincipalSettings] = {}
        self._directory = self._build()

    def put(self, *principals: Principal) -> None:
        """Add principals, or replace those of their names."""
        for principal in principals:
            self._principals[principal.name] = configured(principal)
        self._directory = self._build()

    def remove(self, name: str) -> None:
        """Remove a principal."""
        del self._principals[name]
        self._directory = self._build()

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        return self._directory.authenticate(login, password)

    def principal(self, name: str) -> Deferred[Principal | None]:
        return self._directory.principal(name)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return self._directory.recipients(address)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return self._directory.is_local_domain(domain)

    def _build(self) -> MemoryDirectory:
        settings = MemorySettings(tuple(self._principals.values()))
        return MemoryDirectory(settings, self._offload, self._clock)

"""Mail for postmaster, whom every mail server has to have (RFC 5321 §4.5.1)."""

from typing import Any

from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailhive.errors import MailhiveError
from mailhive.model.addresses import canonical_address, canonical_domain, split
from mailhive.model.principal import Principal

__all__ = ["Postmaster"]


@define(eq=False, slots=False)
class Postmaster(Service):
    """Finds who gets it: for `hostname`, and for a domain whose postmaster nobody is.

    That is whoever has `address`; without one, postmaster of the host or of the nearest
    domain above it.  As a service it says so at the start if that is nobody.
    """

    directory: Any  # IDirectory
    hostname: str
    address: str | None = None
    _log = Logger()

    def is_of_host(self, address: str) -> bool:
        """Is it the postmaster of this host, whose name need not be a mail domain?"""
        local, domain = split(canonical_address(address) or "")
        return local == "postmaster" and domain == canonical_domain(self.hostname)

    async def recipients(self, address: str) -> tuple[Principal, ...]:
        """As `IDirectory.recipients`."""
        found: tuple[Principal, ...] = await self.directory.recipients(address)
        local, domain = split(canonical_address(address) or "")
        if found or local != "postmaster":
            return found
        if self.is_of_host(address) or await self.directory.is_local_domain(domain):
            for other in self._others():
                if found := await self.directory.recipients(other):
                    break
        return found

    def _others(self) -> list[str]:
        if self.address is not None:
            return [self.address]
        labels = (canonical_domain(self.hostname) or self.hostname).split(".")
        return [f"postmaster@{'.'.join(labels[i:])}" for i in range(len(labels))]

    def startService(self) -> None:
        super().startService()
        Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        address = f"postmaster@{self.hostname}"
        try:
            if not await self.recipients(address):
                self._log.warn(
                    "Nobody gets mail for {address}, which every mail server has to take; "
                    "delivery.postmaster can name somebody",
                    address=address,
                )
        except MailhiveError:
            pass  # a directory that does not answer tells so itself

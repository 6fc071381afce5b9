"""Greylisting as a check of listeners, and the service that has the file."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailhive.config.greylist import GreylistSettings
from mailhive.errors import TemporaryFailure
from mailhive.model.addresses import canonical_domain
from mailhive.model.networks import Address, Networks, parse_address
from mailhive.smtp.checks import Check, Visit
from mailhive.smtp.greylist.ledger import Ledger
from mailhive.smtp.replies import SmtpReply
from mailhive.sqlite.thread import FileThread

__all__ = ["FILE", "Greylist"]

#: Its name in the data directory.
FILE = "greylist.sqlite"
#: Seconds between looks at what has expired.
_CLEANING = 600.0

_log = Logger()


@define(eq=False, slots=False)
class Greylist(Service):
    """Who has come to this server, whichever listener they came to."""

    path: Path
    settings: GreylistSettings
    reactor: Any
    _file: FileThread[Ledger] = field(init=False)
    _cleaning: LoopingCall = field(init=False)

    def startService(self) -> None:
        """Open the file; blocks."""
        self._file = FileThread("greylist", self.reactor)
        self._file.open(self.path, lambda connection: Ledger.open(connection, self.settings))
        self._cleaning = LoopingCall(lambda: Deferred.fromCoroutine(self._clean()))
        self._cleaning.clock = self.reactor
        self._cleaning.start(_CLEANING, now=False)
        super().startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._cleaning.stop()
        return Deferred.fromCoroutine(self._file.close())

    def check(self, visit: Visit, trusted: Networks) -> "Check | None":
        """The check of one connection; None for clients who need not come back."""
        address = parse_address(visit.peer)
        if address is None or trusted.contains(address) or self.settings.exempt.contains(address):
            return None
        return _GreylistCheck(self, visit, address)

    async def lets_in(self, address: Address, sender: str, recipient: str) -> bool:
        """May this be taken?  If that cannot be known, it may."""
        try:
            found: bool = await self._file.run(
                Ledger.lets_in,
                _network(address),
                sender.casefold(),
                recipient.casefold(),
                int(self.reactor.seconds()),
            )
        except TemporaryFailure as error:
            _log.warn("Nobody is put off: {why}", why=str(error))
            return True
        return found

    def exempts(self, name: str) -> bool:
        """Is this the name of a server that is never put off?"""
        domain = canonical_domain(name.rstrip(".")) or ""
        known = filter(None, map(canonical_domain, self.settings.exempt_names))
        return any(domain == each or domain.endswith(f".{each}") for each in known)

    async def _clean(self) -> None:
        try:
            while await self._file.run(Ledger.clean, int(self.reactor.seconds())):
                pass
        except TemporaryFailure as error:
            _log.warn("The greylist is not cleaned: {why}", why=str(error))


@define(eq=False)
class _GreylistCheck(Check):
    greylist: Greylist
    visit: Visit
    address: Address
    _sender: str = field(init=False, default="")

    async def sender(
        self,
        address: str,
        parameters: dict[str, str | None],  # noqa: ARG002
    ) -> SmtpReply | None:
        self._sender = address
        return None

    async def recipient(self, address: str) -> SmtpReply | None:
        visit = self.visit
        if visit.is_welcome or self.greylist.exempts(visit.name):
            return None
        if await self.greylist.lets_in(self.address, self._sender, address):
            return None
        return _COME_BACK


#: RFC 6647 §4.1
_COME_BACK = SmtpReply(451, "4.7.1", "Greylisted, please try again later")


def _network(address: Address) -> str:
    """Where all servers of one sender are, like as not."""
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))

"""What a client is by its address and its name: lists in the DNS, reverse DNS, HELO.

What is refused is refused recipient by recipient, except for the postmaster, whom somebody
can tell who is refused wrongly (RFC 5321 §4.5.1).  What the DNS does not say in time counts
for nothing.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from mailhive.authn.dns import DnsFailure, IpAddress, Resolver
from mailhive.authn.iprev import IprevVerdict, confirmed_name
from mailhive.authn.results import Result
from mailhive.model.networks import parse_address
from mailhive.smtp.checks import Check, HeldMessage, Visit
from mailhive.smtp.judging.hello import fault_of
from mailhive.smtp.judging.lists import DnsListSettings, Listed, listed
from mailhive.smtp.policy import MxSettings
from mailhive.smtp.replies import SmtpReply, peer_error

__all__ = ["ClientCheck", "Clients"]

#: Seconds for all that is looked up at one time.
_PATIENCE = 10.0
_UNKNOWN = IprevVerdict("temperror")

_log = Logger()
_T = TypeVar("_T")


@frozen(eq=False)
class Clients:
    """Looks at the clients of a listener; `hostname` is our own name."""

    resolver: Resolver
    hostname: str
    settings: MxSettings
    clock: Any  # IReactorTime

    def check(self, visit: Visit) -> "ClientCheck | None":
        """None for clients in trusted networks, and those without an address."""
        address = parse_address(visit.peer)
        if address is None or self.settings.trusted_networks.contains(address):
            return None
        return ClientCheck(self, visit, address)

    async def in_time(self, waiting: Coroutine[Any, Any, _T], otherwise: _T) -> _T:
        """What is found, or `otherwise` if that takes too long."""
        result: Deferred[_T] = Deferred.fromCoroutine(waiting)
        result.addTimeout(_PATIENCE, self.clock)
        try:
            return await result
        except defer.TimeoutError:
            return otherwise

    async def listed(self, address: IpAddress) -> list[Listed]:
        """The lists that a client is on, in their order."""
        asking = [
            Deferred.fromCoroutine(self.in_time(self._listed(each, address), None))
            for each in self.settings.dns_lists
        ]
        found = await gatherResults(asking, consumeErrors=True)
        return [each for each in found if each is not None]

    async def _listed(self, settings: DnsListSettings, address: IpAddress) -> Listed | None:
        try:
            return await listed(self.resolver, settings, address)
        except DnsFailure as error:
            # The zone may have a key in it.
            name = settings.name or settings.zone
            why = str(error).replace(settings.zone, name)
            _log.info("The list {zone} is not heard: {why}", zone=name, why=why)
            return None


@define(eq=False)
class ClientCheck(Check):
    """One client."""

    clients: Clients
    visit: Visit
    address: IpAddress
    reads_messages: bool = field(init=False)
    _asking: Deferred[list[Listed]] | None = field(init=False, default=None)
    _lists: list[Listed] = field(init=False, factory=list)
    _iprev: IprevVerdict = field(init=False, default=_UNKNOWN)
    _hello: tuple[str, str | None] = field(init=False, default=("", None))

    def __attrs_post_init__(self) -> None:
        self.reads_messages = bool(self.clients.settings.dns_lists)

    async def connected(self) -> SmtpReply | None:
        clients = self.clients
        if clients.settings.dns_lists:
            self._asking = Deferred.fromCoroutine(clients.listed(self.address))
        if clients.settings.wants_names:
            naming = confirmed_name(clients.resolver, self.address)
            self._iprev = await clients.in_time(naming, _UNKNOWN)
            if self._iprev.result == "pass":
                self.visit.name = self._iprev.name
            self.visit.results.append(_iprev_result(self._iprev, self.visit.peer))
        return None

    async def recipient(self, address: str) -> SmtpReply | None:
        if self._asking is not None:
            asking, self._asking = self._asking, None
            self._lists = await asking
            self.visit.results += [each.result() for each in self._lists]
            self.visit.is_welcome = self._first("welcome") is not None
        if self.visit.is_welcome or address.rpartition("@")[0].lower() == "postmaster":
            return None
        refusal = self._by_lists() or self._by_name() or await self._by_hello()
        if refusal is not None:
            _log.info(
                "{listener}: recipient <{recipient}> refused: {reply}",
                listener=self.visit.listener,
                recipient=address,
                reply=str(refusal),
                peer=self.visit.peer,
            )
        return refusal

    async def message(self, message: HeldMessage) -> SmtpReply | None:
        if not self.visit.is_welcome and self._first("junk") is not None:
            message.is_junk = True
        return None

    def disconnected(self) -> None:
        if self._asking is not None:
            self._asking.addErrback(lambda _: None)
            self._asking.cancel()

    def _first(self, action: str) -> Listed | None:
        return next((each for each in self._lists if each.settings.action == action), None)

    def _by_lists(self) -> SmtpReply | None:
        found = self._first("refuse")
        if found is None:
            return None
        text = f"{self.address} is listed by {found.name}"
        return peer_error(550, "5.7.1", f"{text}: {found.reason}" if found.reason else text)

    def _by_name(self) -> SmtpReply | None:
        # RFC 7372 §3.3
        wanted, found = self.clients.settings.client_name, self._iprev.result
        if wanted != "any" and found == "permerror":
            return peer_error(550, "5.7.25", f"The DNS has no name of {self.address}")
        if wanted == "confirmed" and found == "fail":
            text = f"{self._iprev.name}, the name of {self.address}, does not lead back to it"
            return peer_error(550, "5.7.25", text)
        return None

    async def _by_hello(self) -> SmtpReply | None:
        clients, hello = self.clients, self.visit.hello
        wanted = clients.settings.refuse_hello
        if wanted and self._hello[0] != hello:
            looking = fault_of(clients.resolver, hello, clients.hostname, wanted)
            self._hello = hello, await clients.in_time(looking, None)
        fault = self._hello[1]
        return None if fault is None else peer_error(550, "5.7.1", f"In HELO or EHLO: {fault}")


def _iprev_result(verdict: IprevVerdict, peer: str) -> Result:
    # RFC 8601 §2.7.3
    why = f"its name is {verdict.name}" if verdict.name else ""
    return Result("iprev", verdict.result, {"policy.iprev": peer}, why)

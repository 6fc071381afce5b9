"""How much mail comes in from one network, and from one user."""

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field, frozen

from mailhive.auth.throttle import network
from mailhive.mail.sending_rates import SendingRates
from mailhive.model.rates import Buckets, Rate
from mailhive.smtp.checks import Check, Visit
from mailhive.smtp.events import MessageStart
from mailhive.smtp.policy import MxSettings
from mailhive.smtp.replies import Fault, SmtpReply

__all__ = ["NetworkRates", "UserRates", "shared_buckets"]

_HOUR = 3_600.0


def shared_buckets(rate: Rate, clock: Callable[[], float], name: str, peers: Any) -> Buckets:
    """Buckets that all processes take from, if `peers` (`IPeers`) are there."""
    if peers is None:
        return Buckets(rate, clock)
    buckets = Buckets(rate, clock, tell=partial(peers.tell, f"rate.{name}"))
    peers.serve(f"rate.{name}", lambda _, key, count: buckets.hear(key, count))
    return buckets


def _too_many(what: str) -> SmtpReply:
    text = f"Too many {what} from your network lately, try again later"
    return SmtpReply(451, "4.7.1", text, whose_fault=Fault.PEER)


_MESSAGES, _RECIPIENTS = _too_many("messages"), _too_many("recipients")


@define(eq=False)
class NetworkRates:
    """What a listener takes from one IPv4 address or IPv6 /64 network.

    Clients in trusted networks, and those without an address, are not counted.
    """

    settings: MxSettings
    name: str  # of the listener
    clock: Callable[[], float]
    peers: Any = None  # IPeers
    _messages: Buckets | None = field(init=False)
    _recipients: Buckets | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._messages = self._hourly("messages", self.settings.messages_per_hour)
        self._recipients = self._hourly("recipients", self.settings.recipients_per_hour)

    def _hourly(self, what: str, count: int | None) -> Buckets | None:
        if count is None:
            return None
        return shared_buckets(Rate(count, _HOUR), self.clock, f"{self.name}.{what}", self.peers)

    @property
    def is_there(self) -> bool:
        """Is anything limited?"""
        return bool(self._messages or self._recipients)

    def check(self, visit: Visit) -> Check | None:
        """The check of one connection."""
        if not visit.peer or self.settings.trusted_networks.contains(visit.peer):
            return None
        return _NetworkCheck(network(visit.peer), self._messages, self._recipients)


@frozen(eq=False)
class _NetworkCheck(Check):
    network: str
    messages: Buckets | None
    recipients: Buckets | None

    async def sender(
        self,
        address: str,  # noqa: ARG002
        parameters: dict[str, str | None],  # noqa: ARG002
    ) -> SmtpReply | None:
        return _MESSAGES if self.messages and self.messages.take(self.network) else None

    async def recipient(self, address: str) -> SmtpReply | None:  # noqa: ARG002
        return _RECIPIENTS if self.recipients and self.recipients.take(self.network) else None


@frozen(eq=False)
class UserRates(Check):
    """Counts what a user submits."""

    rates: SendingRates
    visit: Visit

    async def content(self, start: MessageStart) -> SmtpReply | None:
        assert self.visit.user is not None  # the machine asks for AUTH first
        why = self.rates.take(self.visit.user.name, len(start.envelope.recipients))
        return None if why is None else SmtpReply(451, "4.7.1", why, whose_fault=Fault.PEER)

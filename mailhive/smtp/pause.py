"""A pause before the greeting, in which who sends junk does not wait."""

from typing import Any

from attrs import frozen
from twisted.internet.task import deferLater

from mailhive.model.networks import Networks
from mailhive.smtp.checks import Check, Visit
from mailhive.smtp.replies import SmtpReply

__all__ = ["GreetingPause"]


@frozen
class GreetingPause(Check):
    """RFC 5321 §4.3.1: a client waits to be greeted; the machine refuses those who do not."""

    seconds: float
    reactor: Any

    @classmethod
    def at(
        cls, visit: Visit, *, seconds: float, trusted: Networks, reactor: Any
    ) -> "GreetingPause | None":
        """At a connection; None for those who are trusted."""
        return None if trusted.contains(visit.peer) else cls(seconds, reactor)

    async def connected(self) -> SmtpReply | None:
        await deferLater(self.reactor, self.seconds)
        return None

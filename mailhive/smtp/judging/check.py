"""Messages from servers of others are judged before they are taken in."""

from attrs import define

from mailhive.authn.results import authentication_results, without_claims
from mailhive.model.networks import parse_address
from mailhive.smtp.checks import Check, HeldMessage, Visit
from mailhive.smtp.judging.judge import Judge, Judgement, Origin
from mailhive.smtp.policy import MxSettings
from mailhive.smtp.replies import SmtpReply, peer_error

__all__ = ["JudgeCheck"]


@define(eq=False)
class JudgeCheck(Check):
    """Puts an Authentication-Results field before what comes from outside (RFC 8601).

    Those that claim to be ours are taken out.  What DMARC asks for is done as the settings
    say.
    """

    visit: Visit
    judge: Judge
    settings: MxSettings
    reads_messages = True

    @classmethod
    def of(cls, visit: Visit, judge: Judge, settings: MxSettings) -> "JudgeCheck | None":
        """None for clients in trusted networks, and those without an address."""
        if parse_address(visit.peer) is None or settings.trusted_networks.contains(visit.peer):
            return None
        return cls(visit, judge, settings)

    async def message(self, message: HeldMessage) -> SmtpReply | None:
        known, header = self.visit.results, message.header
        cleaned = without_claims(header, (self.judge.hostname,))
        if not self.settings.judge:
            told = authentication_results(self.judge.hostname, known) if known else b""
            message.header = told + cleaned
            return None
        origin = self._origin(message)
        judgement = await self.judge.judge(origin, header, message.spool.body, known)
        message.header = judgement.field + cleaned
        message.found = judgement.field.partition(b":")[2].strip()
        return self._consequence(judgement, message)

    def _origin(self, message: HeldMessage) -> Origin:
        address = parse_address(self.visit.peer)
        assert address is not None
        return Origin(address, message.start.hello, message.envelope.mail_from)

    def _consequence(self, judgement: Judgement, message: HeldMessage) -> SmtpReply | None:
        """A reply if the message is refused for what DMARC says."""
        wanted = {
            "reject": self.settings.dmarc_reject,
            "quarantine": self.settings.dmarc_quarantine,
        }.get(judgement.action, "accept")
        if wanted == "refuse":
            # RFC 7489 §10.3
            text = f"By the DMARC policy of {judgement.author} this message is not from there"
            return peer_error(550, "5.7.1", text)
        message.is_junk = message.is_junk or wanted == "junk"
        return None

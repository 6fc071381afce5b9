"""Sessions with servers of others, whose messages are judged before they are taken in."""

from pathlib import Path
from typing import Any

from mailhive.authn.results import without_claims
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.networks import parse_address
from mailhive.smtp.events import MessageEnd, MessageStart
from mailhive.smtp.judging.judge import Judge, Judgement, Origin
from mailhive.smtp.judging.spool import Spool
from mailhive.smtp.policy import MxSettings
from mailhive.smtp.replies import SmtpReply, peer_error
from mailhive.smtp.session import Answer, Question, Session
from mailhive.smtp.trace import TraceFilter

__all__ = ["JudgedSession"]

_HEADER_TOO_LONG = peer_error(552, "5.3.4", "The header of the message is too long")


class JudgedSession(Session):
    """Puts an Authentication-Results field before what comes from outside (RFC 8601).

    Those that claim to be ours are taken out.  What DMARC asks for is done as the settings
    say.  Clients in trusted networks, and those without an address, are not judged.
    """

    def __init__(self, *, judge: Judge, settings: MxSettings, directory: Path, **more: Any):
        super().__init__(**more)
        self._judge = judge
        self._settings = settings
        self._directory = directory
        self._is_junk = False

    async def respond(self, question: Question) -> Answer:
        if isinstance(question, MessageEnd) and isinstance(self._writer, Spool):
            spool, self._writer = self._writer, None
            refusal = await self._pass(spool)
            if refusal is not None:
                return refusal
        return await super().respond(question)

    def begin(self, start: MessageStart) -> None:
        super().begin(start)
        self._is_junk = False
        address = parse_address(self.peer)
        if address is not None and not self._settings.trusted_networks.contains(self.peer):
            self._writer = Spool(self._writer, self._directory)

    async def hand_over(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        if not self._is_junk:
            return await super().hand_over(envelope, blob_id)
        outcomes: tuple[RecipientOutcome, ...] = await self.delivery.deliver(
            envelope, blob_id, junk=True
        )
        return outcomes

    async def _pass(self, spool: Spool) -> SmtpReply | None:
        """Judge the message, and write it if it is taken; else the reply."""
        try:
            spool.write(self._filter.flush())
            self._filter = TraceFilter()
            header = spool.header()
            refusal: SmtpReply | None = _HEADER_TOO_LONG
            if header is not None:
                judgement = await self._judge.judge(self._origin(), header, spool.body)
                refusal = self._consequence(judgement)
            if header is None or refusal is not None:
                spool.abort()
                return refusal
            cleaned = without_claims(header, (self._judge.hostname,))
            self._writer = spool.release(judgement.field + cleaned)
        except BaseException:
            spool.abort()
            raise
        return None

    def _origin(self) -> Origin:
        address = parse_address(self.peer)
        assert self.start is not None and address is not None
        return Origin(address, self.start.hello, self.start.envelope.mail_from)

    def _consequence(self, judgement: Judgement) -> SmtpReply | None:
        """A reply if the message is refused for what DMARC says."""
        wanted = {
            "reject": self._settings.dmarc_reject,
            "quarantine": self._settings.dmarc_quarantine,
        }.get(judgement.action, "accept")
        if wanted == "refuse":
            # RFC 7489 §10.3
            text = f"By the DMARC policy of {judgement.author} this message is not from there"
            return peer_error(550, "5.7.1", text)
        self._is_junk = wanted == "junk"
        return None

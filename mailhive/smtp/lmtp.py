"""Messages that come by LMTP, which has a reply for each recipient (RFC 2033)."""

from mailhive.mail.delivery import deliver_each
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.smtp.outcomes import replies_for_each
from mailhive.smtp.session import Answer, Session

__all__ = ["LmtpSession"]


class LmtpSession(Session):
    """Tells of each recipient by itself (RFC 2033 §4.2)."""

    async def hand_over(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        return await deliver_each(self.delivery, envelope, blob_id, self.arrival)

    def verdict(self, outcomes: tuple[RecipientOutcome, ...]) -> Answer:
        return replies_for_each(self.recipients, outcomes)

"""What a client is told of several recipients.

**One reply for all recipients** (RFC 5321 §4.2.5 leaves SMTP no other way): 250 when every
recipient was served; else the first 4yz outcome, which makes the client try again for all
of them; else the first 5yz.  So nothing is ever lost unnoticed; that a recipient served
before is not served twice is the delivery's business, which knows a message that it already
has.  LMTP has a reply for each.
"""

from collections.abc import Iterable

from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.smtp import replies
from mailhive.smtp.replies import Fault, SmtpReply, server_error

__all__ = ["replies_for_each", "reply_for_all"]


def reply_for_all(envelope: Envelope, outcomes: tuple[RecipientOutcome, ...]) -> SmtpReply:
    """The one reply for all recipients."""
    if len(outcomes) != len(envelope.recipients):
        return server_error(f"{len(outcomes)} outcomes of {len(envelope.recipients)} recipients")
    refused = [outcome for outcome in outcomes if outcome.code != 250]
    if not refused:
        return replies.MESSAGE_ACCEPTED
    first = next((outcome for outcome in refused if outcome.code < 500), refused[0])
    count = f"{len(refused)} of {len(outcomes)} recipients not served"
    return _reply(first, f"{count}, first {first.recipient}")


def replies_for_each(
    recipients: Iterable[str], outcomes: Iterable[RecipientOutcome]
) -> tuple[SmtpReply, ...]:
    """A reply for each recipient (RFC 2033 §4.2)."""
    told = {
        outcome.recipient: _reply(outcome, f"for {outcome.recipient}")
        for outcome in outcomes
        if outcome.code != 250
    }
    # Those whom a check took off the list have what they are to have.
    return tuple(told.get(each, replies.MESSAGE_ACCEPTED) for each in recipients)


def _reply(outcome: RecipientOutcome, cause: str) -> SmtpReply:
    whose_fault = Fault.SERVER if outcome.code < 500 else Fault.NOBODY
    return SmtpReply(outcome.code, outcome.enhanced, outcome.text, cause, whose_fault)

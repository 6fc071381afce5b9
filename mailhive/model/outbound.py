"""A message on its way out, and how far it has come."""

from attrs import frozen

from mailhive.model.envelope import Envelope

__all__ = ["OutboundMessage", "OutboundStatus", "RecipientStatus"]


@frozen
class OutboundMessage:
    """A message that the outbox is asked to send.

    `id` is of the `Id` type of RFC 8620 §1.2 and given by who submits it, anew
    for every message (`mailhive.model.ids.random_id`).  The blob is sent as it
    is.  `account_id` is the account whose EmailSubmission of the same id tells
    of the message; None when nobody is told.  `submitted_at` is in milliseconds,
    as is `send_at`, before which it is not to go; None: at once.
    """

    id: str
    envelope: Envelope
    blob_id: str
    submitted_at: int
    account_id: str | None = None
    send_at: int | None = None


@frozen
class RecipientStatus:
    """How far the message has come for one recipient, in the words of RFC 8621 §7.

    `delivered` is queued, yes, no or unknown; `reply` is a `smtpReply`.
    """

    address: str
    delivered: str
    reply: str


@frozen
class OutboundStatus:
    """A message of the outbox and how far it has come for each recipient.

    `is_new` says that it was submitted as held and has not been released yet,
    `is_canceled` that an operator took it back before anybody had it.
    """

    message: OutboundMessage
    recipients: tuple[RecipientStatus, ...]
    is_new: bool = False
    is_canceled: bool = False

    @property
    def waiting(self) -> tuple[str, ...]:
        """The recipients it is still to be handed to."""
        return tuple(r.address for r in self.recipients if r.delivered == "queued")

    @property
    def has_left(self) -> bool:
        """Was it handed to anybody?"""
        return any(r.delivered in ("yes", "unknown") for r in self.recipients)

    @property
    def can_be_undone(self) -> bool:
        """Was it handed to nobody yet, nor given up for anybody?"""
        return len(self.waiting) == len(self.recipients)

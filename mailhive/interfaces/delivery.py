"""Delivery: take responsibility for a message and its recipients."""

from zope.interface import Interface

from mailhive.model.arrival import PLAIN

__all__ = ["IDelivery"]


class IDelivery(Interface):
    """Where a message goes once a listener has received it.  Deferreds throughout."""

    def check_recipient(address: str, size: int | None = None):
        """Fire with None when mail to `address` can be taken, else with why not.

        That is a `RecipientOutcome`: 550 for one that is not known, a 4yz for one that
        cannot be served now, such as an account without room.  `size` is that of the
        message in octets, if it is known.  `TemporaryFailure` when that cannot be known.
        """

    def keep_sent(principal, blob_id: str):
        """Put a message that a `Principal` has sent into its Sent mailbox, as read.

        Under the conditions of `deliver`.  `NotFound` if there is no such mailbox,
        `OverQuota`, or `TemporaryFailure`.
        """

    def deliver(envelope, blob_id: str, arrival=PLAIN):
        """Deliver the message stored in the blob to every recipient of `envelope`.

        `arrival` is what is known of the message by the way it came (`Arrival`).

        The blob is already durable and holds trace headers (RFC 5321 §4.4); the
        caller committed or touched it in a hold that lasts until this fires
        (`IBlobStore`).
        Fires with a tuple of `RecipientOutcome`, one per recipient, in order.
        An outcome of 250 says that a crash can no longer lose the message for
        that recipient.  A recipient that cannot be served now gets a 4yz
        outcome, and nothing of the message stays in its account.
        """

"""Outbox: messages on their way out, and who takes them there."""

from zope.interface import Attribute, Interface

__all__ = ["IOutbox", "IReportedSubmissions", "ISubmissions", "ITransport"]


class IOutbox(Interface):
    """Keeps each message until every recipient has got it or never will.

    All methods return Deferreds; what they answer is durable.  A submitted
    message is handed to the first `ITransport` that takes it, destination by
    destination, at once or when its `send_at` has come, and then again after
    growing pauses until it has been tried for days.  Destinations do not wait for
    each other, nor do messages to different ones.

    **Reports.**  What becomes of a recipient is reported to the sender as RFC 3461
    §5 has it: in a message of its own, with a null reverse-path, that goes through
    this same outbox; never for a message whose own reverse-path is null.

    **At least once.**  What was accepted is sent after a crash too.  A crash
    between a transport's word that a recipient has the message and the note of it
    means that this recipient gets it again; nothing else does.

    **Holding.**  Whether a message goes or not can depend on something else that
    has to become durable, an EmailSubmission in an account.  Then the message is
    first held, so that it goes nowhere; then that something is written; then the
    message is released or canceled accordingly.  Messages that a crash left held
    are settled at the start, by asking `ISubmissions.is_wanted`; those without an account go.

    The outbox refers to the blobs of its messages (see `IBlobStore`).
    """

    def submit(message, *, held: bool = False):
        """Accept an `OutboundMessage`, and keep it back if `held`.

        Fires once a crash can no longer lose it.  A message whose id the outbox
        has already is not accepted twice.  To be called in a hold on the blob
        store, in which the blob was committed or touched.
        """

    def hold(message_id: str):
        """Fire with True if nothing was handed to anybody, nor will be until this hold ends.

        It ends with `release`, `cancel` or `settle`, and until then no other
        hold begins.  False when it is too late, or the message is unknown.
        """

    def release(message_id: str):
        """Let a held message go."""

    def cancel(message_id: str):
        """Make a held message go nowhere, for good."""

    def settle(message_id: str):
        """Release or cancel a held message, as at the start after a crash."""

    def status(message_id: str):
        """Fire with the `OutboundStatus`; None if the outbox is done with the message."""

    def expedite(message_id: str):
        """Have a message tried now that waits for its next attempt; not before its `send_at`."""

    def blob_ids(after: str, until: str, limit: int):
        """Fire with ids of blobs it refers to, greater than `after`, up to `until`.

        At most `limit`, in ascending order.
        """


class ISubmissions(Interface):
    """The EmailSubmissions of all accounts, as the outbox sees them.

    For each message with an `account_id`.  Methods return awaitables.
    """

    def tell(status):
        """Note an `OutboundStatus`, the newest of its message.

        Called after every change until it succeeds, also after a restart, so
        perhaps several times with the same; changes of one message in order.
        """

    def is_wanted(status):
        """Should the held message go?

        A new one should if its EmailSubmission is there, another one unless its
        EmailSubmission says that it is canceled.
        """


class IReportedSubmissions(Interface):
    """The EmailSubmissions of all accounts, as reports see them that an account received.

    Methods return awaitables.  A report that is for no EmailSubmission of the account is
    passed over, and so is what it says of others than its recipients.  To be called in a
    hold on the blob store, in which the blob of the report was touched.
    """

    def delivered(account_id: str, report, blob_id: str):
        """Note a `mime.report.DeliveryReport`."""

    def displayed(account_id: str, report, blob_id: str):
        """Note a `mime.report.DispositionReport`."""


class ITransport(Interface):
    """One way to recipients."""

    relays = Attribute(
        "True when acceptance means that another host has the message, and not "
        "that the recipient does (bool)."
    )

    at_once = Attribute("Deliveries to one destination that may be under way at a time (int).")

    rate = Attribute("How often a delivery to one destination may begin (Rate); None: at any time.")

    def destination(address: str):
        """Fire with the name of what mail to this address waits for; None if it goes another way.

        A name is for the outbox and operators only; recipients of one name are handed
        over together.  `TemporaryFailure` when that cannot be known now.
        """

    def deliver(envelope, blob_id: str):
        """Hand the message in the blob to every recipient of `envelope`, each for itself.

        They are of one destination.  Fires with a tuple of `RecipientOutcome`, one per
        recipient, in order: 2yz when it need not be handed over again, 4yz when it may
        be tried again later, 5yz when that would be in vain.  When it is canceled, it
        hands over nothing more.
        """

"""What operators see of the outbox: who waits for what, and never what it says."""

from itertools import groupby

from attrs import frozen

from mailhive.sqlite.connection import Connection

__all__ = ["QueuedMessage", "QueuedRecipient", "queued"]

_SELECT = (
    "SELECT m.id, m.account, m.mail_from, m.submitted_at, m.send_at, m.state,"
    " r.address, r.destination, r.delivered, r.attempts, r.due_at, r.reply, r.host"
    " FROM message AS m JOIN recipient AS r ON r.message = m.id"
)
_WAITING = "m.id IN (SELECT message FROM recipient WHERE delivered = 'queued')"


@frozen
class QueuedRecipient:
    """A recipient; `delivered` and `reply` as in `RecipientStatus`.

    `next_try` is in milliseconds, None if there is none; `host` is the server that gave
    the reply, empty for this one.
    """

    address: str
    destination: str
    delivered: str
    attempts: int
    next_try: int | None
    reply: str
    host: str


@frozen
class QueuedMessage:
    """A message in the order of its recipients.  Times are milliseconds.

    `state` is new or held while a client submits or cancels it, ready, or canceled
    while its EmailSubmission is to be told so.
    """

    id: str
    account_id: str | None
    sender: str
    submitted_at: int
    send_at: int | None
    state: str
    recipients: tuple[QueuedRecipient, ...]


def queued(connection: Connection, message_id: str | None = None) -> list[QueuedMessage]:
    """The messages that somebody waits for, the oldest first; or one, even if nobody does."""
    which, parameters = (_WAITING, ()) if message_id is None else ("m.id = ?", (message_id,))
    rows = connection.rows(
        f"{_SELECT} WHERE {which} ORDER BY m.submitted_at, m.id, r.position", parameters
    )
    found = []
    for (message_id, account, sender, submitted_at, send_at, state), group in groupby(
        rows, lambda row: row[:6]
    ):
        recipients = tuple(QueuedRecipient(*row[6:]) for row in group)
        found.append(
            QueuedMessage(message_id, account, sender, submitted_at, send_at, state, recipients)
        )
    return found

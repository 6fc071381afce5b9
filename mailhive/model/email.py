"""An Email as the store holds it (RFC 8621 §4)."""

from collections.abc import Iterator
from typing import Any

from attrs import Factory, field, frozen
from msgspec import Struct

from mailhive.model.fulltext import separate

__all__ = [
    "Comparator",
    "EmailPage",
    "EmailQuery",
    "EmailRow",
    "Filing",
    "FilterCondition",
    "FilterOperator",
    "MailboxCounts",
    "NewEmail",
    "Record",
    "SearchText",
    "filter_names",
]


@frozen
class SearchText:
    """The words of a message, by the field a filter can name (RFC 8621 §4.4.1)."""

    sender: str = ""  # `from`: names and addresses
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    body: str = ""  # text parts, HTML reduced to text
    attachments: str = ""  # file names of attachments
    #: The fields in this order, as tokens: made here, so that no account waits for it.
    folded: tuple[str, ...] = field(
        init=False,
        eq=False,
        repr=False,
        default=Factory(lambda self: tuple(map(separate, self._fields())), takes_self=True),
    )

    def _fields(self) -> tuple[str, ...]:
        return (
            self.sender,
            self.to,
            self.cc,
            self.bcc,
            self.subject,
            self.body,
            self.attachments,
        )


@frozen
class NewEmail:
    """Everything about a message that never changes, as ingest found it.

    `summary` is a JSON object of the list-view properties: messageId, inReplyTo,
    references, sender, from, to, cc, bcc, replyTo, subject, sentAt, hasAttachment
    and preview, in that order, as Email/get answers them.  `headers` is the raw
    header block; `structure` the part tree as `mime.structure` writes it.
    `message_ids` are the ids that tie a message to its thread: its own first,
    then those of In-Reply-To and References (RFC 8621 §3).  Sort keys are
    already folded for `i;unicode-casemap`.
    """

    blob_id: str
    size: int
    received_at: int  # milliseconds
    sent_at: int | None  # milliseconds
    message_id: str | None
    message_ids: tuple[str, ...]
    thread_subject: str  # base subject (RFC 5256 §2.1)
    has_attachment: bool
    summary: bytes
    headers: bytes
    structure: bytes
    sort_from: str = ""
    sort_to: str = ""
    sort_subject: str = ""
    search: SearchText = field(factory=SearchText)


class EmailRow(Struct, frozen=True):
    """An Email as read back.  The last three are None unless asked for.

    Lists are of hundreds, and these cost a fifth of attrs classes to make.
    """

    id: str
    thread_id: str
    blob_id: str
    size: int
    received_at: int  # milliseconds
    mailbox_ids: tuple[str, ...]
    keywords: tuple[str, ...]
    summary: bytes | None = None
    headers: bytes | None = None
    structure: bytes | None = None


class Filing(Struct, frozen=True):
    """What of an Email can change: its mailboxes, at least one, and its keywords."""

    mailbox_ids: tuple[str, ...]
    keywords: tuple[str, ...]


@frozen
class Record:
    """An object of a type that the store keeps as one JSON document."""

    id: str
    data: dict[str, Any]


@frozen
class MailboxCounts:
    """RFC 8621 §2: totalEmails, unreadEmails, totalThreads, unreadThreads."""

    total_emails: int = 0
    unread_emails: int = 0
    total_threads: int = 0
    unread_threads: int = 0


@frozen
class FilterCondition:
    """One FilterCondition: RFC 8621 names to values that were checked for type.

    Dates are milliseconds, ids are strings, `header` is a tuple of one or two
    strings.  Several properties of one condition are all to be met.
    """

    properties: tuple[tuple[str, Any], ...]


@frozen
class FilterOperator:
    """AND, OR or NOT of conditions (RFC 8620 §5.5)."""

    operator: str
    conditions: tuple["FilterOperator | FilterCondition", ...]


def filter_names(filter: FilterOperator | FilterCondition | None) -> Iterator[str]:
    """The names of all conditions in a filter, some perhaps several times."""
    if isinstance(filter, FilterOperator):
        for part in filter.conditions:
            yield from filter_names(part)
    elif filter is not None:
        for name, _ in filter.properties:
            yield name


@frozen
class Comparator:
    """One sort criterion (RFC 8620 §5.5); `keyword` for those of RFC 8621 §4.4.2."""

    property: str
    ascending: bool = True
    collation: str | None = None
    keyword: str | None = None


@frozen
class EmailQuery:
    """The arguments of Email/query (RFC 8620 §5.5, RFC 8621 §4.4), hashable.

    After `sort`, ties are broken by receivedAt descending, then id, so that the
    order is total.
    """

    filter: FilterOperator | FilterCondition | None = None
    sort: tuple[Comparator, ...] = ()
    collapse_threads: bool = False


@frozen
class EmailPage:
    """A window on the results of an EmailQuery.

    `position` is the index of the first id; `total` is None unless asked for.
    """

    ids: tuple[str, ...]
    position: int
    total: int | None
    state: int

"""The properties of an Email, and which of them cost what (RFC 8621 §4.1, §4.2)."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from msgspec import Raw, Struct, field
from msgspec.json import Decoder
from msgspec.structs import fields

from mailhive.jmap.checks import is_utc_date
from mailhive.jmap.envelope import encode_json
from mailhive.jmap.registry import Property
from mailhive.jmap.types.email.keywords import is_keywords, is_mailbox_ids
from mailhive.mime.view import is_email_property as is_message_property
from mailhive.model.email import EmailRow
from mailhive.model.utcdate import format_utc_date

__all__ = [
    "DEFAULT_PROPERTIES",
    "METADATA",
    "PROPERTIES",
    "SUMMARY",
    "is_email_property",
    "read_summary",
]


@lru_cache(1024)
def _as_set(names: tuple[str, ...]) -> Raw:
    """The JSON text of a set (RFC 8621 §4.1.1); most Emails have one of a few."""
    return Raw(encode_json(dict.fromkeys(names, True)))


#: RFC 8621 §4.1.1, from the row of an Email.
METADATA: Mapping[str, Callable[[EmailRow], Any]] = {
    "id": attrgetter("id"),
    "blobId": attrgetter("blob_id"),
    "threadId": attrgetter("thread_id"),
    "mailboxIds": lambda row: _as_set(row.mailbox_ids),
    "keywords": lambda row: _as_set(row.keywords),
    "size": attrgetter("size"),
    "receivedAt": lambda row: format_utc_date(row.received_at),
}


class _Summary(Struct):
    """The stored list view: each property stays the JSON text it is."""

    messageId: Raw
    inReplyTo: Raw
    references: Raw
    sender: Raw
    from_: Raw = field(name="from")
    to: Raw
    cc: Raw
    bcc: Raw
    replyTo: Raw
    subject: Raw
    sentAt: Raw
    hasAttachment: Raw
    preview: Raw


#: Properties of the list view and the attribute of `read_summary` that has each.
SUMMARY: Mapping[str, str] = {f.encode_name: f.name for f in fields(_Summary)}

read_summary = Decoder(_Summary).decode

#: What Email/get answers when `properties` is omitted (RFC 8621 §4.2).
DEFAULT_PROPERTIES = (
    *METADATA,
    *SUMMARY,
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
)


def is_email_property(name: str) -> bool:
    """Is there such a property?  ValueError for a header form that is not allowed."""
    return name in METADATA or name in SUMMARY or name == "bodyValues" or is_message_property(name)


#: What creation references and generic checks need to know of an Email.
PROPERTIES = {
    "mailboxIds": Property(is_mailbox_ids, refers_to="Mailbox"),
    "keywords": Property(is_keywords, {}),
    "receivedAt": Property(is_utc_date, immutable=True),
}

"""The properties of a Mailbox (RFC 8621 §2)."""

import unicodedata
from typing import Any

from mailhive.jmap.checks import (
    is_any,
    is_boolean,
    is_id,
    is_unsigned,
    nullable,
    one_of,
)
from mailhive.jmap.registry import Property

__all__ = ["COUNTS", "PROPERTIES", "ROLES", "STORED", "is_mailbox_name", "rights"]

#: The IANA "IMAP Mailbox Name Attributes" registry, lower-cased, as far as an
#: attribute says what a mailbox is for (RFC 8621 §2, RFC 6154, RFC 8457).
ROLES = frozenset(
    {
        "all",
        "archive",
        "drafts",
        "flagged",
        "important",
        "inbox",
        "junk",
        "memos",
        "scheduled",
        "sent",
        "snoozed",
        "subscribed",
        "trash",
    }
)


def is_mailbox_name(value: Any) -> bool:
    """Net-Unicode (RFC 5198) of at least one character; its size is a limit apart."""
    return (
        isinstance(value, str)
        and value != ""
        and not any(unicodedata.category(c) == "Cc" for c in value)
        and unicodedata.is_normalized("NFC", value)
    )


COUNTS = ("totalEmails", "unreadEmails", "totalThreads", "unreadThreads")

PROPERTIES = {
    "id": Property(server_set=True, immutable=True),
    "name": Property(is_mailbox_name),
    "parentId": Property(nullable(is_id), None, refers_to="Mailbox"),
    "role": Property(nullable(one_of(ROLES)), None),
    "sortOrder": Property(lambda v: is_unsigned(v) and v < 2**31, 0),
    **{name: Property(is_any, server_set=True) for name in COUNTS},
    "myRights": Property(is_any, server_set=True),
    "isSubscribed": Property(is_boolean, True),
}

#: What the record of a Mailbox holds; the rest is computed.
STORED = ("name", "parentId", "role", "sortOrder", "isSubscribed")


def rights(role: str | None, *, read_only: bool = False) -> dict[str, bool]:
    """MailboxRights in an account of one's own.

    The inbox stays what it is: mail that comes in needs a place to go.
    """
    may = not read_only
    return {
        "mayReadItems": True,
        "mayAddItems": may,
        "mayRemoveItems": may,
        "maySetSeen": may,
        "maySetKeywords": may,
        "mayCreateChild": may,
        "mayRename": may,
        "mayDelete": may and role != "inbox",
        "maySubmit": may,
    }

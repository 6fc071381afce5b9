"""The properties of a Mailbox (RFC 8621 §2)."""

import unicodedata
from collections.abc import Iterable, Mapping
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

__all__ = ["COUNTS", "PROPERTIES", "ROLES", "is_mailbox_name", "rights", "seen_by", "stored"]

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

_SAME_FOR_ALL = ("name", "parentId", "role", "sortOrder")


def seen_by(user: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The settable properties of a Mailbox, from its record, for one of the account's users."""
    mailbox = {name: record[name] for name in _SAME_FOR_ALL}
    mailbox["isSubscribed"] = user in record["subscribers"]
    return mailbox


def stored(
    mailbox: Mapping[str, Any], user: str, subscribers: Iterable[str] = ()
) -> dict[str, Any]:
    """The record of a Mailbox that is `mailbox` to a user, and has had these subscribers.

    Who is subscribed is kept by user (RFC 8621 §2); the other properties are the
    same for all.
    """
    others = {name for name in subscribers if name != user}
    subscribed = others | {user} if mailbox["isSubscribed"] else others
    return {**{n: mailbox[n] for n in _SAME_FOR_ALL}, "subscribers": sorted(subscribed)}


def rights(role: str | None, *, read_only: bool = False) -> dict[str, bool]:
    """MailboxRights of somebody who may change the account, or may not.

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

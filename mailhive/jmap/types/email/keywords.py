"""Keywords and mailboxes of an Email: what may change (RFC 8621 §4.1.1)."""

from collections.abc import Collection, Mapping
from typing import Any

from mailhive.jmap.checks import is_reference, is_true, map_of
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.limits import Limits
from mailhive.model import keywords
from mailhive.model.keywords import MAX_KEYWORDS

__all__ = [
    "MAX_KEYWORDS",
    "checked_keywords",
    "checked_mailboxes",
    "is_keyword",
    "is_keywords",
    "is_mailbox_ids",
]


def is_keyword(value: Any) -> bool:
    return isinstance(value, str) and keywords.is_keyword(value)


is_keywords = map_of(is_keyword, is_true)
is_mailbox_ids = map_of(is_reference, is_true)


def checked_keywords(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The keywords in lower case, as they are stored and returned."""
    if not is_keywords(value):
        raise invalid_properties(["keywords"])
    chosen = tuple(sorted({k.lower() for k in value}))
    if len(chosen) > MAX_KEYWORDS:
        raise SetError("tooManyKeywords", f"An Email may have {MAX_KEYWORDS} keywords")
    return chosen


def checked_mailboxes(
    value: Mapping[str, Any], known: Collection[str], limits: Limits
) -> tuple[str, ...]:
    """The mailboxes: at least one, each there, no more than an Email may be in."""
    if not is_mailbox_ids(value) or not value:
        raise invalid_properties(["mailboxIds"])
    if not all(m in known for m in value):
        raise invalid_properties(["mailboxIds"])
    most = limits.mailboxes_per_email
    if most is not None and len(value) > most:
        raise SetError("tooManyMailboxes", f"An Email may be in {most} mailboxes")
    return tuple(value)

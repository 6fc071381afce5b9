"""Keywords as bits, for the index that every list view is read from.

The column `flags` of the tables `email` and `mbx` holds those keywords that
clients filter by all the time, and whether there is an attachment.
"""

__all__ = ["ATTACHMENT", "DRAFT", "KEYWORD_FLAGS", "SEEN", "UNREAD_MASK", "flags_of", "is_unread"]

SEEN, DRAFT, FLAGGED, ANSWERED, ATTACHMENT = 1, 2, 4, 8, 16

KEYWORD_FLAGS = {"$seen": SEEN, "$draft": DRAFT, "$flagged": FLAGGED, "$answered": ANSWERED}

#: None of these is set on an unread Email (RFC 8621 §2, unreadEmails).
UNREAD_MASK = SEEN | DRAFT


def flags_of(keywords: tuple[str, ...], has_attachment: bool) -> int:
    """The bits of an Email that has these keywords."""
    flags = ATTACHMENT if has_attachment else 0
    for keyword in keywords:
        flags |= KEYWORD_FLAGS.get(keyword, 0)
    return flags


def is_unread(flags: int) -> bool:
    """Has the Email neither $seen nor $draft?"""
    return not flags & UNREAD_MASK

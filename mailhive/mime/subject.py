"""Base subject (RFC 5256 §2.1), and keys to sort and to thread by."""

import re
import unicodedata

__all__ = ["base_subject", "fold", "thread_subject"]

#: Characters of a subject that are looked at.
_MAX = 1_000
_BLOB = r"\[[^\[\]]*+\][ \t]*+"
_LEADER = re.compile(rf"(?:{_BLOB})*(?:re|fwd?)[ \t]*+(?:{_BLOB})?:|[ \t]++", re.IGNORECASE)
_LEADING_BLOB = re.compile(_BLOB)
_TRAILER = "(fwd)"
_FORWARD = "[fwd:"


def base_subject(subject: str) -> str:
    """The subject less what replying, forwarding and lists add (RFC 5256 §2.1).

    `subject` is in Text form (RFC 8621 §4.1.2.2).
    """
    text = " ".join(subject[:_MAX].split())  # step 1
    while True:
        text = text.rstrip()
        while text.lower().endswith(_TRAILER):  # step 2
            text = text[: -len(_TRAILER)].rstrip()
        before = None
        while before != text:  # steps 3 to 5
            before = text
            if leader := _LEADER.match(text):
                text = text[leader.end() :]
            elif (blob := _LEADING_BLOB.match(text)) and blob.end() < len(text):
                text = text[blob.end() :]
        if not (text.lower().startswith(_FORWARD) and text.endswith("]")):
            return text
        text = text[len(_FORWARD) : -1]  # step 6


def fold(text: str) -> str:
    """A key under which texts sort and compare as by `i;unicode-casemap` (RFC 5051)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def thread_subject(folded: str) -> str:
    """What the subjects of one thread have in common, white space ignored (RFC 8621 §3).

    `folded` is a base subject as `fold` has it.
    """
    return "".join(folded.split())

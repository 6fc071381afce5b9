"""Range requests (RFC 9110 §14) on a representation that never changes."""

import re

from mailhive.errors import MailhiveError

__all__ = ["Unsatisfiable", "entity_tag", "matches", "requested_range"]

_RANGE = re.compile(
    r"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*", re.ASCII | re.IGNORECASE
)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Unsatisfiable(MailhiveError):
    """The range lies beyond the end: 416 (RFC 9110 §15.5.17)."""


def entity_tag(blob_id: str) -> str:
    """A blob id names its octets and nothing else does: a strong validator."""
    return f'"{blob_id}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Does an If-None-Match list hold `tag`, compared weakly (RFC 9110 §13.1.2)?"""
    return if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)


def requested_range(
    header: str | None, size: int, *, if_range: str | None, tag: str
) -> tuple[int, int] | None:
    """The octets `[start, end)` asked for, or None for the whole.

    The whole is the answer to a set of several ranges, to what is no byte range
    and to an If-Range that does not match strongly (RFC 9110 §14.2, §13.1.5).
    Raises `Unsatisfiable`.
    """
    if header is None or (if_range is not None and if_range.strip() != tag):
        return None
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start = int(first)
        if last and int(last) < start:
            return None  # RFC 9110 §14.1.1: invalid, so ignored
        end = min(size, int(last) + 1) if last else size
    if start >= size:
        raise Unsatisfiable
    return start, end

"""A message as it goes out: an Email less what is nobody else's business."""

import re

from mailhive.mime.fields import Headers, parse_fields

__all__ = ["outgoing"]

# Field names are any printable characters (RFC 5322 §2.2).
_PRIVATE = r"(?:bcc|resent-bcc|return-path)[ \t]*:"
_FIELD = re.compile(
    rb"^%b[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)" % _PRIVATE.encode(), re.IGNORECASE | re.MULTILINE
)
_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD_OF_CR = re.compile(
    rb"(?:(?<=\r)|\A)%b[^\r]*+(?:\r[ \t][^\r]*+)*+(?:\r|\Z)" % _PRIVATE.encode(), re.IGNORECASE
)


def outgoing(
    raw: bytes, trace: bytes, date: bytes, message_id: bytes, *, is_own: bool = False
) -> bytes:
    """The message to be sent of an Email; or the sender's own copy, which keeps its Bcc.

    Bcc is taken away (RFC 8621 §7.5), as are Resent-Bcc and Return-Path, which
    is for the last host to add (RFC 5321 §4.4).  `trace` goes to its top, and
    `date` and `message_id` to those that have none (RFC 6409 §8.2, §8.3); all
    three are whole header fields.  Nothing else is touched but NULs in the header.
    """
    # Up to the first empty line, even if that is no header to us: it may be to others.
    blank_line = _BLANK_LINE.search(raw)
    start = len(raw) if blank_line is None else blank_line.end()
    block, body = raw[:start], raw[start:]
    # As `parse_fields` reads it: without NULs, and in lines of CR where there is no LF.
    block = block.replace(b"\0", b"")
    if not is_own:
        field = _FIELD if b"\n" in block else _FIELD_OF_CR
        block = field.sub(b"", block)
    headers = Headers(parse_fields(block))
    added = [trace]
    if headers.first("date") is None:
        added.append(date)
    if headers.first("message-id") is None:
        added.append(message_id)
    return b"".join((*added, block, body))

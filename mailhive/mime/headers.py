"""Header values in the forms of RFC 8621 §4.1.2, and the properties that ask for them.

`parse_form` turns a Raw value into the JSON value of a form.  No input is an
error; each form is linear in the length of the value, and looks at no more than
`MAX_VALUE` characters of it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from attrs import frozen

from mailhive.mime.address import parse_addresses
from mailhive.mime.encodedword import clean, decode_words
from mailhive.mime.fields import Headers, parse_fields, split_angles, strip_comments, unfold
from mailhive.model.utcdate import format_date, format_utc_date

__all__ = [
    "CONVENIENCE",
    "HeaderProperty",
    "as_addresses",
    "as_date",
    "as_grouped_addresses",
    "as_message_ids",
    "as_text",
    "as_urls",
    "date_form",
    "header_value",
    "parse_date_time",
    "parse_form",
    "parse_header_property",
    "received_at",
]

#: Characters of a header field that its parsed forms look at.
MAX_VALUE = 262_144

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# RFC 5322 §4.3; a zone of one letter, or one not known, is -0000.
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_DATE_TIME = re.compile(
    r"\s*(?:[a-z]+\.?\s*,?\s*)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*\.?,?[\s-]+(\d{2,4})\s+"
    r"(\d{1,2})\s*:\s*(\d{2})(?:\s*:\s*(\d{2})(?:\.\d+)?)?(?:\s*([+-]\d{4}|[a-z]+))?",
    re.IGNORECASE | re.ASCII,
)
#: The first millisecond of year 1, and that after year 9999.
_FIRST, _END = -62_135_596_800_000, 253_402_300_800_000
_BLANK_LINE = re.compile(rb"\n\r?\n")
#: Octets of a message in which its trace fields are looked for.
_MAX_TRACE = 65_536
_BARE_MSG_ID = re.compile(r"[^\s<>()]+@[^\s<>()]+")
_WHITE_SPACE = re.compile(r"\s+")


def as_text(raw: str) -> str:
    """The Text form (RFC 8621 §4.1.2.2)."""
    return clean(decode_words(unfold(raw[:MAX_VALUE]).lstrip(" ")))


def as_addresses(raw: str) -> list[dict[str, Any]]:
    """The Addresses form (RFC 8621 §4.1.2.3)."""
    groups = parse_addresses(raw[:MAX_VALUE])
    return [address.json() for group in groups for address in group.addresses]


def as_grouped_addresses(raw: str) -> list[dict[str, Any]]:
    """The GroupedAddresses form (RFC 8621 §4.1.2.4)."""
    return [group.json() for group in parse_addresses(raw[:MAX_VALUE])]


def as_message_ids(raw: str) -> list[str] | None:
    """The MessageIds form (RFC 8621 §4.1.2.5): None if no msg-id is there.

    Phrases between the ids are passed over (RFC 5322 §4.5.4).  One id without
    its angle brackets is taken for what it is meant to be.
    """
    around, within = split_angles(unfold(raw[:MAX_VALUE]))
    ids = [one if '"' in one else _WHITE_SPACE.sub("", one) for one in within]
    if not ids and _BARE_MSG_ID.fullmatch(around[0].strip()):
        ids = [around[0].strip()]
    return [one for one in ids if one] or None


def parse_date_time(raw: str) -> tuple[int, int] | None:
    """A date-time (RFC 5322 §3.3, §4.3): milliseconds since 1970 and minutes east of UTC."""
    text = strip_comments(unfold(raw[:1_000]))
    match = _DATE_TIME.match(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    try:
        number = int(year)
        if len(year) == 2:
            number += 2000 if number < 50 else 1900
        elif len(year) == 3:
            number += 1900
        when = datetime(
            number,
            _MONTHS.index(month.lower()) + 1,
            int(day),
            int(hour),
            int(minute),
            59 if second == "60" else int(second or 0),  # leap second
            tzinfo=UTC,
        )
    except ValueError:
        return None
    if zone and zone[0] in "+-":
        hours, minutes = int(zone[1:3]), int(zone[3:])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    else:
        offset = _ZONES.get((zone or "").upper(), 0) * 60
    millis = (round(when.timestamp()) - offset * 60) * 1000
    # In UTC it may be before year 1 or after 9999.
    return (millis, offset) if _FIRST <= millis < _END else None


def received_at(raw: bytes) -> int | None:
    """When a message was last received, as its first Received field has it (RFC 8621 §4.8).

    Milliseconds since 1970; None without such a field (RFC 5321 §4.4).
    """
    end = _BLANK_LINE.search(raw, 0, _MAX_TRACE)
    received = Headers(parse_fields(raw[: end.start() if end else _MAX_TRACE])).first("received")
    if received is None:
        return None
    parsed = parse_date_time(received.rpartition(";")[2])
    return parsed[0] if parsed else None


def as_date(raw: str) -> str | None:
    """The Date form (RFC 8621 §4.1.2.6): None if it is no date-time."""
    return date_form(parse_date_time(raw))


def date_form(parsed: tuple[int, int] | None) -> str | None:
    """The Date form of what `parse_date_time` has found."""
    if parsed is None:
        return None
    millis, offset = parsed
    return format_date(millis, offset) if offset else format_utc_date(millis)


def as_urls(raw: str) -> list[str] | None:
    """The URLs form (RFC 8621 §4.1.2.7): None if it is no list of RFC 2369 §2."""
    around, within = split_angles(unfold(raw[:MAX_VALUE]))
    # RFC 2369 §2: a field that does not begin with an angle bracket is to be ignored.
    if around[0].strip():
        return None
    urls = [_WHITE_SPACE.sub("", url) for url in within]
    return [url for url in urls if url] or None


def _as_raw(raw: str) -> str:
    return raw


_FORMS: dict[str, Callable[[str], Any]] = {
    "Raw": _as_raw,
    "Text": as_text,
    "Addresses": as_addresses,
    "GroupedAddresses": as_grouped_addresses,
    "MessageIds": as_message_ids,
    "Date": as_date,
    "URLs": as_urls,
}

_TEXT = frozenset({"Raw", "Text"})
_ADDRESSES = frozenset({"Raw", "Addresses", "GroupedAddresses"})
_MESSAGE_IDS = frozenset({"Raw", "MessageIds"})
_DATE = frozenset({"Raw", "Date"})
_URLS = frozenset({"Raw", "URLs"})
_ANY = frozenset(_FORMS)

#: The forms of each field that RFC 5322 or RFC 2369 defines (RFC 8621 §4.1.2.2 to
#: §4.1.2.7).  A field that neither defines may be had in any form.
_ALLOWED: dict[str, frozenset[str]] = {
    **dict.fromkeys(("subject", "comments", "keywords"), _TEXT),
    **dict.fromkeys(
        (
            "from",
            "sender",
            "reply-to",
            "to",
            "cc",
            "bcc",
            "resent-from",
            "resent-sender",
            "resent-reply-to",
            "resent-to",
            "resent-cc",
            "resent-bcc",
        ),
        _ADDRESSES,
    ),
    **dict.fromkeys(("message-id", "in-reply-to", "references", "resent-message-id"), _MESSAGE_IDS),
    **dict.fromkeys(("date", "resent-date"), _DATE),
    **dict.fromkeys(
        (
            "list-help",
            "list-unsubscribe",
            "list-subscribe",
            "list-post",
            "list-owner",
            "list-archive",
        ),
        _URLS,
    ),
    **dict.fromkeys(("return-path", "received"), frozenset({"Raw"})),
}

_PROPERTY = re.compile(r"header:([!-9;-~]+)(?::as([A-Za-z]+))?(:all)?")


@frozen
class HeaderProperty:
    """A property that stands for a header field (RFC 8621 §4.1.3).

    `name` is the property as it was written, `field` the header field as it was
    written there, `key` the same in lower case, `form` one of Raw, Text,
    Addresses, GroupedAddresses, MessageIds, Date and URLs.
    """

    name: str
    field: str
    key: str
    form: str = "Raw"
    all: bool = False


@lru_cache(maxsize=1024)
def parse_header_property(name: str) -> HeaderProperty:
    """Read `header:NAME[:asFORM][:all]`.

    ValueError when it is not of that shape, or for a form that the field must
    not be fetched or set in.
    """
    match = _PROPERTY.fullmatch(name)
    if match is None:
        raise ValueError(f"{name[:100]!r} is not a header property")
    field, form, every = match[1], match[2] or "Raw", match[3] is not None
    if form not in _FORMS:
        raise ValueError(f"{form!r} is not a form of a header field")
    if form not in _ALLOWED.get(field.lower(), _ANY):
        raise ValueError(f"the header field {field} has no form as{form}")
    return HeaderProperty(name, field, field.lower(), form, every)


#: The convenience properties and what they stand for (RFC 8621 §4.1.3), in its order.
CONVENIENCE: dict[str, HeaderProperty] = {
    name: parse_header_property(f"header:{meaning}")
    for name, meaning in (
        ("messageId", "Message-ID:asMessageIds"),
        ("inReplyTo", "In-Reply-To:asMessageIds"),
        ("references", "References:asMessageIds"),
        ("sender", "Sender:asAddresses"),
        ("from", "From:asAddresses"),
        ("to", "To:asAddresses"),
        ("cc", "Cc:asAddresses"),
        ("bcc", "Bcc:asAddresses"),
        ("replyTo", "Reply-To:asAddresses"),
        ("subject", "Subject:asText"),
        ("sentAt", "Date:asDate"),
    )
}


def parse_form(raw: str, form: str) -> Any:
    """The JSON value of a Raw value in `form`."""
    return _FORMS[form](raw)


def header_value(headers: Headers, wanted: HeaderProperty) -> Any:
    """The value of a header property: of the last field, or of all (RFC 8621 §4.1.3)."""
    form = _FORMS[wanted.form]
    if wanted.all:
        return [form(raw) for raw in headers.all(wanted.key)]
    raw = headers.last(wanted.key)
    return None if raw is None else form(raw)

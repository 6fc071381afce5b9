"""`UTCDate` and `Date` values (RFC 8620 §1.4), held as milliseconds since 1970."""

import re
from datetime import UTC, datetime, timedelta

__all__ = ["format_date", "format_utc_date", "parse_date", "parse_utc_date"]

# A fraction of zero is not to be sent (RFC 8620 §1.4), but `toISOString` of every
# JavaScript client does: it is read, and left out when we write.
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII
)

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (formatted without a zone)


def parse_utc_date(text: object) -> int:
    """Milliseconds since 1970 of an RFC 8620 `UTCDate`; ValueError if it is none."""
    if not isinstance(text, str) or not text.endswith("Z"):
        raise ValueError("not a UTCDate")
    return parse_date(text)


def parse_date(text: object) -> int:
    """Milliseconds since 1970 of an RFC 8620 `Date`; ValueError if it is none."""
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a Date")
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    # A leap second (RFC 3339 §5.7) is read as the last second of its minute.
    when = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    if second > 60:
        raise ValueError("not a Date")
    millis = int((match[7] or "").ljust(3, "0")[:3])
    zone = match[8]
    if zone != "Z":
        offset = int(zone[1:3]) * 60 + int(zone[4:])
        if int(zone[1:3]) > 23 or int(zone[4:]) > 59:
            raise ValueError("not a Date")
        when -= timedelta(minutes=-offset if zone[0] == "-" else offset)
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000 + millis


def format_utc_date(millis: int) -> str:
    """The `UTCDate` of a time; fractions only when they are not zero (RFC 8620 §1.4)."""
    return _format(millis, 0, "Z")


def format_date(millis: int, offset_minutes: int) -> str:
    """The `Date` of a time as told in a zone `offset_minutes` east of UTC."""
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    return _format(millis, offset_minutes, f"{sign}{hours:02}:{minutes:02}")


def _format(millis: int, offset_minutes: int, suffix: str) -> str:
    seconds, fraction = divmod(millis, 1000)
    text = (_EPOCH + timedelta(minutes=offset_minutes, seconds=seconds)).isoformat()
    if fraction:
        text += f".{fraction:03}".rstrip("0")
    return text + suffix

"""When a message was received, by its own account (RFC 5321 §4.4)."""

from mailhive.mime.fields import Headers, parse_fields
from mailhive.mime.headers import parse_date_time

__all__ = ["last_received_at"]


def last_received_at(headers: bytes) -> int | None:
    """Milliseconds of the most recent Received field, the first; None if it tells no time."""
    received = Headers(parse_fields(headers)).first("received")
    if received is None or ";" not in received:
        return None
    parsed = parse_date_time(received.rpartition(";")[2])
    return None if parsed is None else parsed[0]

"""What the head of a request must be, beyond what twisted.web asks for.

Where two servers in a row could read a request differently, what one lets pass the other
would answer: such requests are refused (RFC 9112 §11.2), and their connection is closed.
"""

import re

from twisted.web.http_headers import Headers

__all__ = ["is_well_formed", "origin_form"]

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/?.*)", re.IGNORECASE | re.DOTALL)
#: RFC 9110 §7.2, RFC 3986 §3.2.2; without user information, which no client may send.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::\d{0,5})?")


def is_well_formed(request_line: bytes, headers: Headers) -> bool:
    """May a request with this head be answered?"""
    method, target, version = request_line.split(b" ")
    has_length = headers.hasHeader(b"content-length")
    codings = headers.getRawHeaders(b"transfer-encoding", ())
    if codings and (
        # RFC 9112 §6.1: HTTP/1.0 knows none, and with a length it would be a matter of taste.
        version == b"HTTP/1.0"
        or has_length
        or [coding.lower() for coding in codings] != [b"chunked"]
    ):
        return False
    hosts = headers.getRawHeaders(b"host", ())
    if len(hosts) != 1:  # RFC 9112 §3.2
        return not hosts and version == b"HTTP/1.0"
    if _HOST.fullmatch(hosts[0]) is None:
        return False
    if target[:1] == b"/":
        return True
    if target == b"*":
        return method == b"OPTIONS"
    absolute = _ABSOLUTE.fullmatch(target)
    return absolute is not None and bool(absolute[1]) and _HOST.fullmatch(absolute[1]) is not None


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """A target as origin servers know it, and the host that it named (RFC 9112 §3.2.2)."""
    absolute = None if target[:1] == b"/" else _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, None
    path = absolute[2]
    return path if path[:1] == b"/" else b"/" + path, absolute[1]

"""Answers as values: plain ones, and problem details (RFC 7807)."""

import msgspec
from attrs import frozen

from mailhive.jmap.errors import RequestError

__all__ = ["INTERNAL_ERROR", "JSON", "Reply", "plain_problem", "problem"]

JSON = b"application/json"
_PROBLEM = b"application/problem+json"
_NO_STORE = (b"Cache-Control", b"no-store")


@frozen
class Reply:
    """A whole answer.  `headers` are pairs of octets; those of the framing are not among them."""

    body: bytes = b""
    status: int = 200
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def problem(error: RequestError, *headers: tuple[bytes, bytes]) -> Reply:
    """The problem details of a request-level error (RFC 8620 §3.6.1)."""
    body = msgspec.json.encode(error.problem())
    return Reply(body, error.status, _PROBLEM, (_NO_STORE, *headers))


def plain_problem(status: int, detail: str, *headers: tuple[bytes, bytes]) -> Reply:
    """Problem details of an error that HTTP itself defines."""
    return problem(RequestError(None, detail, status=status), *headers)


INTERNAL_ERROR = plain_problem(500, "The server failed to answer this request.")

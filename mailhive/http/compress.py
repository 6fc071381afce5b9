"""Content coding of answers (RFC 9110 §8.4, §12.5.3).

A compressed answer says by its length something of its content, which is
dangerous where a page of another origin can make a browser ask with the user's
credentials.  These are in a header that no browser adds by itself.
"""

import gzip
from collections.abc import Callable

from twisted.internet.defer import Deferred

from mailhive.http.reply import Reply

__all__ = ["accepts_gzip", "compressed"]

#: Octets below which compression costs more than it saves.
WORTHWHILE = 1_024
#: Octets above which it is done on another thread.
LARGE = 32_768
_LEVEL = 4
_VARY = (b"Vary", b"Accept-Encoding")


def accepts_gzip(header: str | None) -> bool:
    """Does this Accept-Encoding value allow gzip?"""
    if not header:
        return False
    weights: dict[str, bool] = {}
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        weights[coding] = not any(p.startswith("q=") and not p[2:].strip("0.") for p in parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


async def compressed(
    reply: Reply,
    header: Callable[[bytes], str | None],
    offload: Callable[..., Deferred[bytes]],
) -> Reply:
    """`reply` as it goes out to a request whose fields `header(name)` tells.

    `offload(fn, *args)` runs a function on a thread.
    """
    if len(reply.body) < WORTHWHILE:
        return reply
    body, headers = reply.body, (*reply.headers, _VARY)
    if accepts_gzip(header(b"accept-encoding")):
        body = await offload(_gzip, body) if len(body) > LARGE else _gzip(body)
        headers = (*headers, (b"Content-Encoding", b"gzip"))
    return Reply(body, reply.status, reply.media_type, headers)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, _LEVEL, mtime=0)

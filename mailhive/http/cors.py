"""Cross-origin requests (the Fetch standard): which pages may read what this server answers.

Credentials travel in the Authorization header, which a script has to know; there are
no cookies, and what a browser keeps of its own login dialogue is not asked for
(`Access-Control-Allow-Credentials`).  So an origin that is allowed gets nothing that its
author could not ask for directly.

Preflight requests carry no credentials and are answered without any, on every path.
"""

from collections.abc import Iterable

from twisted.web.http_headers import Headers

from mailhive.http.reply import Reply

__all__ = ["ANY", "PREFLIGHT", "Cors", "completed"]

#: Stands for every origin.
ANY = "*"
_METHODS = b"GET, HEAD, POST, OPTIONS"

#: The answer to OPTIONS, to which `Cors.add` adds what a browser wants to know.
PREFLIGHT = Reply(status=204, headers=((b"Allow", _METHODS),))

_ORIGIN = b"Access-Control-Allow-Origin"
_EXPOSED = (
    b"Access-Control-Expose-Headers",
    (
        b"Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, "
        b"Content-Range, ETag, Retry-After, WWW-Authenticate"
    ),
)
_OF_PREFLIGHT = (
    (b"Access-Control-Allow-Methods", _METHODS),
    (
        b"Access-Control-Allow-Headers",
        (
            b"Authorization, Content-Type, Accept, Range, If-Range, If-None-Match, "
            b"Last-Event-ID, Cache-Control, X-Requested-With"
        ),
    ),
    (b"Access-Control-Max-Age", b"86400"),
)


class Cors:
    """The policy of a listener: what pages of these origins may read.

    `origins` are serialized (RFC 6454 §6.2), or `ANY`; without any, no page of another
    origin reads anything.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._any = ANY.encode() in self._origins

    def add(self, headers: Headers, method: bytes, asked: Headers) -> None:
        """Complete the headers of an answer to a request of this method with headers `asked`."""
        if self._any:
            headers.setRawHeaders(_ORIGIN, [ANY.encode()])
        elif self._origins:
            headers.addRawHeader(b"Vary", b"Origin")
            origin = asked.getRawHeaders(b"origin", [None])[-1]
            if origin is None or origin not in self._origins:
                return
            headers.setRawHeaders(_ORIGIN, [origin])
        else:
            return
        for name, value in _OF_PREFLIGHT if method == b"OPTIONS" else (_EXPOSED,):
            headers.setRawHeaders(name, [value])


def completed(name: str, value: str) -> str:
    """The value of a header of the configuration, as it has to be sent.

    `*` stands for every request header but Authorization (Fetch: "CORS non-wildcard
    request-header name"), and every client of this server sends that one.
    """
    names = [word.strip().lower() for word in value.split(",")]
    if name.lower() == "access-control-allow-headers" and "*" in names:
        return value if "authorization" in names else f"{value}, Authorization"
    return value

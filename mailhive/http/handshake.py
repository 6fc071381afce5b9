"""The opening handshake of a WebSocket (RFC 6455 §4.2.1), checked before HTTP ends.

Here a refusal is an ordinary answer; Autobahn, which completes the handshake,
would write a bare status line.

A browser adds the login that somebody once typed into its own dialogue to a WebSocket
that a page of any origin opens, and lets that page read what comes: CORS does not
apply.  So what comes from a page of another origin needs a ticket (RFC 6455 §10.2).
"""

from base64 import b64decode

from mailhive.http.reply import Reply, plain_problem
from mailhive.http.request import Request

__all__ = ["SUBPROTOCOL", "opening", "refusal"]

#: RFC 8887 §4.2
SUBPROTOCOL = "jmap"


def refusal(request: Request) -> Reply | None:
    """Why this request does not become a WebSocket; None if it does."""
    if request.site.draining:
        return plain_problem(503, "The server stops.")
    if not request.has_ticket and _is_foreign(request):
        return plain_problem(403, "A page of another origin needs a ticket.")
    if (request.method, request.clientproto) != (b"GET", b"HTTP/1.1") or not request.body.complete:
        return plain_problem(400, "A WebSocket begins with a GET of HTTP/1.1 without a body.")
    if "websocket" not in _tokens(request, b"upgrade") or "upgrade" not in _tokens(
        request, b"connection"
    ):
        return plain_problem(
            426,
            "There is a WebSocket here.",
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
        )
    if request.header(b"sec-websocket-version") != "13":
        version = (b"Sec-WebSocket-Version", b"13")
        return plain_problem(426, "The version of the WebSocket must be 13.", version)
    if not _is_nonce(request.header(b"sec-websocket-key") or ""):
        return plain_problem(400, "Sec-WebSocket-Key must be base64 of 16 octets.")
    if SUBPROTOCOL not in _tokens(request, b"sec-websocket-protocol", fold=False):
        return plain_problem(400, f"The subprotocol must be {SUBPROTOCOL}.")
    return None


def opening(request: Request) -> bytes:
    """A request that was not refused, reduced to what opens a WebSocket.

    Neither the query nor a header that may hold credentials is passed on.
    """
    fields = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {request.header(b'sec-websocket-key')}",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
    ]
    extensions = request.header(b"sec-websocket-extensions")
    if extensions:
        fields.append(f"Sec-WebSocket-Extensions: {extensions}")
    return "\r\n".join(["GET / HTTP/1.1", *fields, "", ""]).encode("latin-1")


def _is_foreign(request: Request) -> bool:
    origin = request.header(b"origin")
    host = (request.header(b"host") or "").lower()
    return origin is not None and origin.lower().partition("://")[2] != host


def _tokens(request: Request, name: bytes, *, fold: bool = True) -> list[str]:
    tokens = [token.strip() for token in (request.header(name) or "").split(",")]
    return [token.lower() for token in tokens] if fold else tokens


def _is_nonce(key: str) -> bool:
    try:
        return len(key) == 24 and len(b64decode(key, validate=True)) == 16
    except ValueError:
        return False

"""Cross-origin requests (the Fetch standard), so that web clients of any origin work.

Credentials travel in the Authorization header, which a script has to know, and
never in cookies, which a browser would add by itself.  So answering every
origin gives a page nothing that its author could not ask for directly.
"""

from mailhive.http.reply import Reply

__all__ = ["CORS_HEADERS", "PREFLIGHT"]

CORS_HEADERS = (
    (b"Access-Control-Allow-Origin", b"*"),
    (
        b"Access-Control-Expose-Headers",
        (
            b"Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, "
            b"Content-Range, ETag, Retry-After, WWW-Authenticate"
        ),
    ),
)

#: The answer to OPTIONS, whatever the path and without authentication.
PREFLIGHT = Reply(
    status=204,
    headers=(
        (b"Allow", b"GET, HEAD, POST, OPTIONS"),
        (b"Access-Control-Allow-Methods", b"GET, HEAD, POST, OPTIONS"),
        (
            b"Access-Control-Allow-Headers",
            (
                b"Authorization, Content-Type, Accept, Range, If-Range, If-None-Match, "
                b"Last-Event-ID, Cache-Control, X-Requested-With"
            ),
        ),
        (b"Access-Control-Max-Age", b"86400"),
    ),
)

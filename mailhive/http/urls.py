"""Where the resources are: paths, and the absolute URLs of the session (RFC 8620 §2)."""

from collections.abc import Callable

from attrs import frozen

from mailhive.auth.tickets import LIFE
from mailhive.config.fields import absolute_url, websocket_url
from mailhive.http.request import Request
from mailhive.jmap.errors import RequestError
from mailhive.jmap.session import SessionUrls

__all__ = [
    "API",
    "EVENT_SOURCE",
    "SESSION",
    "TICKET",
    "WEBSOCKET",
    "WELL_KNOWN",
    "Prefixes",
    "session_urls",
]

WELL_KNOWN = "/.well-known/jmap"
SESSION = "/jmap/session"
API = "/jmap/api"
_DOWNLOAD = "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"
_UPLOAD = "/jmap/upload/{accountId}/"
EVENT_SOURCE = "/jmap/eventsource"
WEBSOCKET = "/jmap/ws"
TICKET = "/jmap/ticket"
_EVENTS = EVENT_SOURCE + "?types={types}&closeafter={closeafter}&ping={ping}"


def session_urls(prefix: str, websocket_prefix: str | None = None) -> SessionUrls:
    """The URLs below `prefix`, which has a scheme and a host and ends without a slash.

    Without a prefix of its own, the WebSocket's is `prefix` with ws for http.
    """
    if websocket_prefix is None:
        websocket_prefix = "ws" + prefix.removeprefix("http")
    return SessionUrls(
        api=prefix + API,
        download=prefix + _DOWNLOAD,
        upload=prefix + _UPLOAD,
        event_source=prefix + _EVENTS,
        websocket=websocket_prefix + WEBSOCKET,
        ticket=prefix + TICKET,
        ticket_life=LIFE,
    )


@frozen
class Prefixes:
    """What the URLs of a listener begin with.

    `prefix` None means localhost and the port that the client came to, and never what its
    Host header says; `websocket` None follows from it.  Where they are `dynamic`, a trusted
    proxy says them with each request for the session.
    """

    prefix: str | None = None
    websocket: str | None = None
    scheme: str = "http"
    dynamic: bool = False

    def urls(self, request: Request) -> SessionUrls:
        """The URLs for the client of a request; `RequestError` 400 for one that is none."""
        prefix, websocket = self.prefix, self.websocket
        if prefix is None:
            prefix = f"{self.scheme}://localhost:{request.getHost().port}"
        if self.dynamic and request.is_from_proxy:
            given = _url(request, "X-JMAP-PREFIX", absolute_url)
            given_websocket = _url(request, "X-JMAP-WEBSOCKET-PREFIX", websocket_url)
            if given is not None:
                prefix, websocket = given, None
            websocket = given_websocket or websocket
        return session_urls(prefix, websocket)


def _url(request: Request, name: str, check: Callable[..., None]) -> str | None:
    url = request.header(name.encode())
    if url is None:
        return None
    try:
        check(None, None, url)
    except ValueError as error:
        raise RequestError(None, f"{name}: {error}") from None
    return url.rstrip("/")

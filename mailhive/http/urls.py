"""Where the resources are: paths, and the absolute URLs of the session (RFC 8620 §2)."""

from mailhive.auth.tickets import LIFE
from mailhive.jmap.session import SessionUrls

__all__ = ["API", "EVENT_SOURCE", "SESSION", "TICKET", "WEBSOCKET", "WELL_KNOWN", "session_urls"]

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

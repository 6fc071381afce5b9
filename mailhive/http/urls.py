"""Where the resources are: paths, and the absolute URLs of the session (RFC 8620 §2)."""

from mailhive.jmap.session import SessionUrls

__all__ = ["API", "EVENT_SOURCE", "SESSION", "WELL_KNOWN", "session_urls"]

WELL_KNOWN = "/.well-known/jmap"
SESSION = "/jmap/session"
API = "/jmap/api"
_DOWNLOAD = "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"
_UPLOAD = "/jmap/upload/{accountId}/"
EVENT_SOURCE = "/jmap/eventsource"
_EVENTS = EVENT_SOURCE + "?types={types}&closeafter={closeafter}&ping={ping}"


def session_urls(prefix: str) -> SessionUrls:
    """The URLs below `prefix`, which has a scheme and a host and ends without a slash."""
    return SessionUrls(
        api=prefix + API,
        download=prefix + _DOWNLOAD,
        upload=prefix + _UPLOAD,
        event_source=prefix + _EVENTS,
    )

"""Failures of connections and of HTTP, told in a few words."""

from collections.abc import Iterator

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error as network
from twisted.internet.defer import CancelledError
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

__all__ = ["reason_of", "was_cancelled"]

#: Looked at in this order: the end of a connection has another cause, if one is known.
_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (network.DNSLookupError, "the name does not resolve"),
    (network.ConnectionRefusedError, "the connection was refused"),
    ((network.TimeoutError, network.TCPTimedOutError), "nothing answers there"),
    (VerificationError, "the certificate is for another name"),
)


def reason_of(error: Exception) -> str | None:
    """What went wrong, for a person; None if it is nothing that a server or network does."""
    causes = list(_causes(error))
    for kinds, reason in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return reason
    for cause in causes:
        if isinstance(cause, SSL.Error):
            return f"TLS failed: {_tls(cause)}"
        if isinstance(cause, network.ConnectError):
            return f"it cannot be reached: {cause.osError or cause}"
    if isinstance(error, ResponseFailed | RequestTransmissionFailed):
        if any(isinstance(cause, network.ConnectionClosed) for cause in causes):
            return "the connection ended before the answer did"
        return "the answer is not HTTP"
    return None


def was_cancelled(error: Exception) -> bool:
    """Is this what cancelling a request leads to?"""
    kinds = (CancelledError, network.ConnectingCancelledError)
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    for failure in getattr(error, "reasons", ()):
        yield from _causes(failure.value)


def _tls(error: SSL.Error) -> str:
    """The last words of OpenSSL, as "certificate verify failed"."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return str(queue[-1][-1]) if queue else "the connection ended"

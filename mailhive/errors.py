"""Base classes of the errors that cross a seam.

An error that a person or a peer caused derives from `MailhiveError` and is
reported without a traceback.  Anything else that escapes is a bug of ours: it
is logged with its traceback, and the peer is told only that the server failed.
Errors of one protocol live with that protocol (`jmap.errors`, `smtp.replies`).
"""

__all__ = [
    "AuthenticationFailed",
    "BlobNotFound",
    "CannotCalculateChanges",
    "MailhiveError",
    "NotFound",
    "TemporaryFailure",
    "TooManyAttempts",
    "Unauthorized",
    "UnsupportedFilter",
]


class MailhiveError(Exception):
    """Somebody's mistake, or a condition that the caller is expected to handle."""


class NotFound(MailhiveError):
    """The account, object or principal asked for does not exist."""


class BlobNotFound(NotFound):
    """No blob of this id is stored."""


class CannotCalculateChanges(MailhiveError):
    """The change log no longer reaches back to the state asked for (RFC 8620 §5.2)."""


class TemporaryFailure(MailhiveError):
    """A provider cannot answer now; the same call may succeed later.

    SMTP turns it into a 4xx reply, JMAP into `serverUnavailable`.
    """


class UnsupportedFilter(MailhiveError):
    """The filter asks for more than can be computed (RFC 8620 §5.5)."""


class AuthenticationFailed(MailhiveError):
    """Credentials were given and are wrong."""


class Unauthorized(MailhiveError):
    """Nobody has been authenticated; `challenges` are values of WWW-Authenticate headers."""

    def __init__(self, challenges: tuple[str, ...]) -> None:
        super().__init__("authentication is required")
        self.challenges = challenges


class TooManyAttempts(MailhiveError):
    """Authentication failed so often that it is refused for `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many failed attempts; retry after {retry_after:g} s")
        self.retry_after = retry_after

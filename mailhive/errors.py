"""Base classes of the errors that cross a seam.

An error that a person or a peer caused derives from `MailhiveError` and is
reported without a traceback.  Anything else that escapes is a bug of ours: it
is logged with its traceback, and the peer is told only that the server failed.
Errors of one protocol live with that protocol (`jmap.errors`, `smtp.replies`).
"""

__all__ = [
    "AccountNotFound",
    "BlobNotFound",
    "CannotCalculateChanges",
    "MailhiveError",
    "NotFound",
    "OverQuota",
    "RateLimited",
    "TemporaryFailure",
    "UnsupportedFilter",
]


class MailhiveError(Exception):
    """Somebody's mistake, or a condition that the caller is expected to handle."""


class NotFound(MailhiveError):
    """The account, object or principal asked for does not exist."""


class AccountNotFound(NotFound):
    """No account of this id is in the mail store: it may be gone since it was looked up."""


class BlobNotFound(NotFound):
    """No blob of this id is stored."""


class CannotCalculateChanges(MailhiveError):
    """The change log no longer reaches back to the state asked for (RFC 8620 §5.2)."""


class OverQuota(MailhiveError):
    """There is as much as there may be."""


class RateLimited(MailhiveError):
    """This was done too often a short while ago; it may be done again later."""


class TemporaryFailure(MailhiveError):
    """A provider cannot answer now; the same call may succeed later.

    SMTP turns it into a 4xx reply, JMAP into `serverUnavailable`.
    """


class UnsupportedFilter(MailhiveError):
    """The filter asks for more than can be computed (RFC 8620 §5.5)."""

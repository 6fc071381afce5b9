"""Why something could not be fetched."""

from mailhive.errors import MailhiveError

__all__ = ["FetchFailed", "FetchRefused"]


class FetchFailed(MailhiveError):
    """There was no answer, or none that can be used; `reason` is one line for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchRefused(MailhiveError):
    """It was not tried, as the URL does not lead to a public host; `reason` as above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

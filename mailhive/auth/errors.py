"""What can come of an attempt to authenticate other than a principal."""

from mailhive.errors import MailhiveError

__all__ = ["AuthenticationFailed", "TooManyAttempts", "Unauthorized"]


class AuthenticationFailed(MailhiveError):
    """Credentials are there and wrong.  Says nothing of how wrong they are."""


class Unauthorized(MailhiveError):
    """Nobody is authenticated; `challenges` are values of WWW-Authenticate (RFC 9110 §11.6.1)."""

    def __init__(self, challenges: tuple[str, ...]):
        super().__init__("authentication is required")
        self.challenges = challenges


class TooManyAttempts(MailhiveError):
    """Too many failed; the next one is looked at in `retry_after` seconds (RFC 6585 §4)."""

    def __init__(self, retry_after: float):
        super().__init__("too many failed logins")
        self.retry_after = retry_after

"""What can come of an attempt to authenticate other than a principal."""

from mailhive.errors import MailhiveError

__all__ = ["AuthenticationFailed", "NoAccount", "TooManyAttempts", "Unauthorized"]


class AuthenticationFailed(MailhiveError):
    """Credentials are there and wrong.  Says nothing of how wrong they are.

    `challenge` is what the strategy then answers in place of its own, if it has
    more to say (RFC 6750 §3).
    """

    def __init__(self, message: str, challenge: str | None = None):
        super().__init__(message)
        self.challenge = challenge


class NoAccount(MailhiveError):
    """The credentials are right, but nobody of this server is meant, nor made for them.

    Whose credentials they are is told that much: it is nobody else's secret.
    """


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

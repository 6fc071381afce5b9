"""AUTH of one connection (RFC 4954): its responses, and how often it may fail."""

from base64 import b64decode, b64encode

from mailhive.smtp import replies
from mailhive.smtp.commands import CommandError
from mailhive.smtp.events import Authenticate
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.sasl import Exchange, begin

__all__ = ["Login"]

#: Failed attempts that a connection is given.
_MOST_FAILURES = 5


class Login:
    """What `begin` and `take` return is to be sent, or is a question whose answer `judge` gets."""

    def __init__(self) -> None:
        self.authenticated = False
        self._exchange: Exchange | None = None
        self._asked: Exchange | None = None
        self._refusal: SmtpReply | None = None  # for a client that first reads why
        self._failures = 0

    @property
    def reading(self) -> bool:
        """Is the next line a response, rather than a command?"""
        return self._exchange is not None

    def begin(self, argument: str) -> SmtpReply | Authenticate:
        """The argument of AUTH: a mechanism, perhaps with an initial response."""
        mechanism, _, initial = argument.partition(" ")
        try:
            exchange = begin(mechanism)
        except KeyError:
            raise CommandError(replies.UNKNOWN_MECHANISM) from None
        return self._step(exchange, initial.strip(" ") or None)

    def take(self, line: bytes) -> SmtpReply | Authenticate:
        """A line, less its CRLF, while `reading`."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        if self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            return refusal
        if line == b"*":
            raise CommandError(replies.AUTH_CANCELED)
        return self._step(exchange, line.decode("ascii", "replace"))

    def give_up(self) -> None:
        """The line was none."""
        self._exchange = self._refusal = None

    def judge(self, refusal: SmtpReply | None) -> SmtpReply:
        """What the client is told of its credentials."""
        if refusal is None:
            self.authenticated = True
            return replies.AUTHENTICATED
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            return replies.TOO_MANY_ERRORS
        exchange = self._asked
        if exchange is None or exchange.failure is None or refusal.code != 535:
            return refusal
        self._refusal = refusal
        return self._challenge(exchange, exchange.failure)

    def _step(self, exchange: Exchange, text: str | None) -> SmtpReply | Authenticate:
        """Go on with a response in base64; a lone `=` is an empty one (RFC 4954 §4)."""
        try:
            encoded = "" if text == "=" else text
            response = None if encoded is None else b64decode(encoded, validate=True)
            step = exchange.step(response)
        except ValueError:
            raise CommandError(replies.BAD_AUTH_RESPONSE) from None
        if isinstance(step, bytes):
            return self._challenge(exchange, step)
        self._asked = exchange
        return Authenticate(step)

    def _challenge(self, exchange: Exchange, challenge: bytes) -> SmtpReply:
        self._exchange = exchange
        return SmtpReply(334, None, b64encode(challenge).decode("ascii"))

"""AUTH of one connection (RFC 4954): its responses, and how often it may fail."""

from base64 import b64decode, b64encode
from collections.abc import Mapping

from mailhive.model.scram import ScramLogin
from mailhive.smtp import replies
from mailhive.smtp.commands import CommandError
from mailhive.smtp.events import Authenticate
from mailhive.smtp.exchange import Exchange, Lookup
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.sasl import begin

__all__ = ["Login"]

#: Failed attempts that a connection is given.
_MOST_FAILURES = 5


class Login:
    """What `begin` and `take` return is to be sent, or is a question.

    The answer to Authenticate is for `judge`, that to Lookup for `found`.
    """

    def __init__(self) -> None:
        self.authenticated = False
        self._exchange: Exchange | None = None
        self._asked: Exchange | None = None
        self._told: SmtpReply | None = None  # the outcome, for a client that first reads why
        self._failures = 0

    @property
    def reading(self) -> bool:
        """Is the next line a response, rather than a command?"""
        return self._exchange is not None

    def begin(
        self, argument: str, bindings: Mapping[str, bytes] | None
    ) -> SmtpReply | Authenticate | Lookup:
        """The argument of AUTH: a mechanism, perhaps with an initial response.

        `bindings` is that of `sasl.begin`.
        """
        mechanism, _, initial = argument.partition(" ")
        try:
            exchange = begin(mechanism, bindings)
        except KeyError:
            raise CommandError(replies.UNKNOWN_MECHANISM) from None
        return self._step(exchange, initial.strip(" ") or None)

    def take(self, line: bytes) -> SmtpReply | Authenticate | Lookup:
        """A line, less its CRLF, while `reading`."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        told, self._told = self._told, None
        if told is not None and not told.positive:
            return told
        if line == b"*":
            raise CommandError(replies.AUTH_CANCELED)
        if told is not None:
            return self._let_in(line)
        return self._step(exchange, line.decode("ascii", "replace"))

    def give_up(self) -> None:
        """The line was none."""
        self._exchange = self._told = None

    def found(self, lookup: Lookup, answer: SmtpReply | ScramLogin) -> SmtpReply:
        """What the client is told of what was looked up."""
        exchange = self._asked
        assert exchange is not None
        if isinstance(answer, SmtpReply):
            return answer
        return self._challenge(exchange, lookup.go_on(answer))

    def judge(self, refusal: SmtpReply | None) -> SmtpReply:
        """What the client is told of its credentials."""
        exchange = self._asked
        assert exchange is not None
        if refusal is None:
            if exchange.success is None:
                return self._let_in(b"")
            self._told = replies.AUTHENTICATED
            return self._challenge(exchange, exchange.success)
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            return replies.TOO_MANY_ERRORS
        if exchange.failure is None or refusal.code != 535:
            return refusal
        self._told = refusal
        return self._challenge(exchange, exchange.failure)

    def _let_in(self, response: bytes) -> SmtpReply:
        if response not in (b"", b"="):
            raise CommandError(replies.BAD_AUTH_RESPONSE)
        self.authenticated = True
        return replies.AUTHENTICATED

    def _step(self, exchange: Exchange, text: str | None) -> SmtpReply | Authenticate | Lookup:
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
        return step if isinstance(step, Lookup) else Authenticate(step)

    def _challenge(self, exchange: Exchange, challenge: bytes) -> SmtpReply:
        self._exchange = exchange
        return SmtpReply(334, None, b64encode(challenge).decode("ascii"))

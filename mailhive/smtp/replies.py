"""SMTP replies (RFC 5321 §4.2) with enhanced status codes (RFC 2034, RFC 3463).

A reply is a value: what the peer is told, and beside it what only the log is
told.  `whose_fault` decides the level it is logged at: a peer's mistake is
everyday life, a failure of ours wants somebody's attention.
"""

import re
from enum import Enum

from attrs import frozen

__all__ = ["Fault", "SmtpReply"]

#: RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets, code and CRLF included.
_TEXT_LIMIT = 480

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class Fault(Enum):
    """Whom an unwelcome reply is to be put down to."""

    NOBODY = "nobody"
    PEER = "peer"
    SERVER = "server"


@frozen
class SmtpReply:
    """One reply.  Lines of `text` are separated by `\\n`.

    `enhanced` is the status code of RFC 3463 that starts every line, None for
    the replies that have none: the greeting, EHLO, HELO and 354 (RFC 2034 §3).
    `cause` is for the log and never sent.
    """

    code: int
    enhanced: str | None
    text: str
    cause: str | None = None
    whose_fault: Fault = Fault.NOBODY

    @property
    def positive(self) -> bool:
        """Is it a 2yz or 3yz reply?"""
        return self.code < 400

    def to_bytes(self) -> bytes:
        """The reply on the wire (RFC 5321 §4.2.1), whatever `text` holds."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        lines = [
            prefix + _UNPRINTABLE.sub("?", line)[:_TEXT_LIMIT] for line in self.text.split("\n")
        ]
        wire = [f"{self.code}-{line}\r\n" for line in lines[:-1]]
        wire.append(f"{self.code} {lines[-1]}\r\n")
        return "".join(wire).encode("ascii")

    def __str__(self) -> str:
        first = self.text.partition("\n")[0]
        return " ".join(str(part) for part in (self.code, self.enhanced, first) if part)


def peer_error(code: int, enhanced: str, text: str, cause: str | None = None) -> SmtpReply:
    """A refusal that the peer's own doing calls for."""
    return SmtpReply(code, enhanced, text, cause, Fault.PEER)


def server_error(cause: str, text: str = "Local error in processing, try again later") -> SmtpReply:
    """The one answer to whatever fails on our side: the peer keeps the message and retries."""
    return SmtpReply(451, "4.3.0", text, cause, Fault.SERVER)


AUTHENTICATED = SmtpReply(235, "2.7.0", "Authentication successful")
OK = SmtpReply(250, "2.0.0", "OK")
SENDER_OK = SmtpReply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = SmtpReply(250, "2.1.5", "Recipient OK")
MESSAGE_ACCEPTED = SmtpReply(250, "2.0.0", "Message accepted")
START_MAIL_INPUT = SmtpReply(354, None, "Start mail input; end with <CRLF>.<CRLF>")
READY_TO_START_TLS = SmtpReply(220, "2.0.0", "Ready to start TLS")
# RFC 5321 §3.5.3, §7.3: neither confirms nor denies that a mailbox exists.
CANNOT_VERIFY = SmtpReply(252, "2.5.2", "Cannot VRFY user, but will accept message for delivery")

UNKNOWN_COMMAND = peer_error(500, "5.5.1", "Command not recognized")
NOT_IMPLEMENTED = peer_error(502, "5.5.1", "Command not implemented")
LINE_TOO_LONG = peer_error(500, "5.5.2", "Line too long")
BARE_LINE_ENDING = peer_error(500, "5.5.2", "A bare CR or LF in a command line")
NOT_UTF8 = peer_error(501, "5.5.2", "Command is not valid UTF-8")
CONTROL_CHARACTER = peer_error(501, "5.5.2", "Control character in command")
NO_ARGUMENT_ALLOWED = peer_error(501, "5.5.4", "No argument allowed")
EHLO_FIRST = peer_error(503, "5.5.1", "Send EHLO or HELO first")
BAD_SEQUENCE = peer_error(503, "5.5.1", "Bad sequence of commands")
NO_VALID_RECIPIENTS = peer_error(554, "5.5.1", "No valid recipients")
TOO_MANY_RECIPIENTS = peer_error(452, "4.5.3", "Too many recipients")
TOO_MANY_ERRORS = peer_error(421, "4.7.0", "Too many errors, closing connection")
TOO_MANY_UNKNOWN = peer_error(421, "4.7.0", "Too many unknown recipients, closing connection")
TOO_MANY_CONNECTIONS = peer_error(421, "4.7.0", "Too many connections, try again later")
NOT_HTTP = peer_error(421, "4.7.0", "This is not HTTP, closing connection")
MESSAGE_TOO_BIG = peer_error(552, "5.3.4", "Message size exceeds the limit")
BARE_CR_OR_LF = peer_error(
    550, "5.6.11", "Message has a bare CR or LF; lines end with CR LF (RFC 5321 section 2.3.8)"
)
TOO_MANY_HOPS = peer_error(554, "5.4.6", "Too many hops, this message is in a loop")
PIPELINED_STARTTLS = peer_error(
    554, "5.5.1", "Nothing may follow STARTTLS before TLS (RFC 3207), closing connection"
)
# RFC 4954 §4, §6
AUTHENTICATION_FAILED = peer_error(535, "5.7.8", "Authentication credentials invalid")
AUTHENTICATION_REQUIRED = peer_error(530, "5.7.0", "Authentication required")
ENCRYPTION_REQUIRED = peer_error(538, "5.7.11", "Encryption required for authentication")
UNKNOWN_MECHANISM = peer_error(504, "5.5.4", "Unrecognized authentication mechanism")
AUTH_CANCELED = peer_error(501, "5.7.0", "Authentication canceled")
BAD_AUTH_RESPONSE = peer_error(501, "5.5.2", "Not a response of this mechanism in base64")
# RFC 5321 §4.3.1: the client waits for the greeting.
SPOKE_FIRST = peer_error(554, "5.5.1", "You spoke before you were greeted")
TRY_LATER = SmtpReply(454, "4.7.0", "Cannot be authenticated now, try again later")
NOT_YOUR_ADDRESS = peer_error(550, "5.7.1", "You may not send from this address")
TIMED_OUT = peer_error(421, "4.4.2", "Timed out, closing connection")
SHUTTING_DOWN = SmtpReply(421, "4.3.2", "Service shutting down, try again later")
BYE = SmtpReply(221, "2.0.0", "Bye")

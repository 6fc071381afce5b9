"""What an SMTP connection carries, for `log.wiretap`; passwords are not shown.

Lines are told as they are complete.  Of what a client sends between two replies only the
beginning is: the content of a message is that.  The argument of AUTH is hidden, and so is
every line behind it that is no command (RFC 4954 §4).
"""

import re

from twisted.logger import Logger

from mailhive.edge.excerpt import SHOWN
from mailhive.edge.redact import REDACTED

__all__ = ["Tap"]

_AUTH = re.compile(rb"[ \t]*AUTH\b(?:[ \t]+\S+)?", re.IGNORECASE)
_COMMAND = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO|BDAT|VRFY) |MAIL FROM:|RCPT TO:"
    rb"|(?:DATA|RSET|NOOP|QUIT|STARTTLS|HELP)\r?$)",
    re.IGNORECASE,
)

_log = Logger(namespace="mailhive.wiretap")


class Tap:
    """One connection."""

    def __init__(self, listener: str, peer: str, connection: str) -> None:
        self._listener = listener
        self._peer = peer
        self._connection = connection
        self._line = b""  # that is not complete
        self._room = SHOWN
        self._hidden = 0  # octets since it was used up
        self._skipping = False  # the rest of a line that is not shown
        self._secret = False

    def received(self, data: bytes) -> None:
        """Octets of the client."""
        if self._skipping:
            _, end, data = data.partition(b"\n")
            self._skipping = not end
        shown, hidden = data[: self._room], data[self._room :]
        self._room -= len(shown)
        *lines, self._line = (self._line + shown).split(b"\n")
        if lines:
            self._tell(">", b"\n".join(map(self._redacted, lines)))
        if hidden:
            self._hidden += len(hidden)
            self._skipping = not hidden.endswith(b"\n")

    def sent(self, data: bytes) -> None:
        """Replies of the server."""
        if self._hidden:
            self.ended()
        self._room = SHOWN
        self._tell("<", data)

    def ended(self) -> None:
        """Tell what is left of what the client has said."""
        line, self._line = self._line, b""
        if line:
            self._tell(">", self._redacted(line))
        if self._hidden:
            self._tell(">", b"[%d octets more]" % self._hidden)
            self._hidden = 0

    def _redacted(self, line: bytes) -> bytes:
        command = _AUTH.match(line)
        if command is not None:
            self._secret = True
            rest = line[command.end() :].strip()
            return command[0] + (b" " + REDACTED.encode() if rest else b"")
        if self._secret and _COMMAND.match(line) is None:
            return REDACTED.encode()
        self._secret = False
        return line

    def _tell(self, direction: str, data: bytes) -> None:
        _log.info(
            "{peer} {listener} {connection} {direction} {dump}",
            peer=self._peer,
            listener=self._listener,
            connection=self._connection,
            direction=direction,
            dump=data.decode("utf-8", "replace").replace("\r", "").rstrip("\n"),
        )

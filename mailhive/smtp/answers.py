"""What a server answers, read from its octets (RFC 5321 §4.2)."""

import re

from mailhive.model.envelope import RecipientOutcome
from mailhive.smtp.replies import SmtpReply

__all__ = ["BadReply", "ReplyReader", "outcome_of"]

#: Octets of one line and lines of one reply; RFC 5321 §4.5.3.1.5 allows 512 of the former.
_LINE_LIMIT = 4_096
_LINES_LIMIT = 200
#: Octets of one reply, many of which may wait to be read.
_REPLY_LIMIT = 16_384
#: Characters of a reply that are told to the sender.
_TEXT_LIMIT = 1_000

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 2034 §4: at the beginning of each line.
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")


class BadReply(ValueError):
    """The octets are no SMTP reply."""


class ReplyReader:
    """Octets in, whole replies out."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._lines: list[str] = []
        self._size = 0

    def receive(self, data: bytes) -> list[SmtpReply]:
        """The replies that these octets complete.  `BadReply` if they cannot be some."""
        self._octets += data
        replies = []
        while (end := self._octets.find(b"\n")) >= 0:
            line = bytes(self._octets[:end]).removesuffix(b"\r")
            del self._octets[: end + 1]
            if (reply := self._line(line)) is not None:
                replies.append(reply)
        if len(self._octets) > _LINE_LIMIT:
            raise BadReply("A line of a reply is too long")
        return replies

    @property
    def is_empty(self) -> bool:
        """Was everything used that came in?"""
        return not self._octets and not self._lines

    def _line(self, line: bytes) -> SmtpReply | None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadReply(f"Not a reply: {line[:60].decode('ascii', 'backslashreplace')}")
        self._size += len(line)
        if len(self._lines) >= _LINES_LIMIT or self._size > _REPLY_LIMIT:
            raise BadReply("A reply is too long")
        self._lines.append((match[3] or b"").decode("utf-8", "replace"))
        if match[2] == b"-":
            return None
        lines, self._lines, self._size = self._lines, [], 0
        return _reply(int(match[1]), lines)


def _reply(code: int, lines: list[str]) -> SmtpReply:
    enhanced = None
    if match := _ENHANCED.match(lines[0]):
        if match[1][0] == str(code)[0]:
            enhanced = match[1]
        lines = [_ENHANCED.sub("", line, count=1) for line in lines]
    return SmtpReply(code, enhanced, "\n".join(lines))


def outcome_of(address: str, reply: SmtpReply) -> RecipientOutcome:
    """What a reply to RCPT or to the message says of a recipient.

    Several lines become one (RFC 8621 §7).
    """
    text = " ".join(reply.text.split())[:_TEXT_LIMIT]
    if 300 <= reply.code < 400:
        return RecipientOutcome(address, 451, "4.5.0", f"Unexpected reply: {reply.code} {text}")
    return RecipientOutcome(address, reply.code, reply.enhanced or f"{reply.code // 100}.0.0", text)

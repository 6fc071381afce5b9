"""Message content on its way in: transparency, end of data, line endings.

Nothing here keeps more than a few octets between calls.
"""

from attrs import define, field

from mailhive.smtp import replies
from mailhive.smtp.replies import SmtpReply

__all__ = ["Chunk", "DotStuffed", "LineEndings", "Message"]

_END = b"\r\n.\r\n"


class DotStuffed:
    """The content that follows DATA (RFC 5321 §4.1.1.4, §4.5.2).

    The end is CRLF.CRLF and nothing else: taking LF.LF or LF.CRLF for it is
    what lets one message smuggle in a second one.
    """

    def __init__(self) -> None:
        # The CRLF that ended the DATA command is the first half of the end of an
        # empty message (RFC 5321 §4.1.1.4).
        self._held = b"\r\n"
        self._first = True
        #: Has the end of data been seen?
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The next content, and what followed the end of data."""
        data = self._held + data
        end = data.find(_END)
        rest = b""
        self.ended = end >= 0
        if self.ended:
            content, rest = data[: end + 2], data[end + len(_END) :]
        else:
            # What may be the beginning of the end waits for what follows it.
            held = next(n for n in range(len(_END) - 1, -1, -1) if data.endswith(_END[:n]))
            cut = len(data) - held
            content, self._held = data[:cut], data[cut:]
        if b"\r\n." in content:
            content = content.replace(b"\r\n.", b"\r\n")  # RFC 5321 §4.5.2
        if self._first and content:
            self._first = False
            content = content[2:]
        return content, rest


class LineEndings:
    """Checks that CR and LF come in pairs only (RFC 5321 §2.3.8)."""

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bool:
        """Is everything up to here in order?  A CR at the end is, for now."""
        if not data:
            return True
        if self._after_cr:
            data = b"\r" + data
        self._after_cr = data.endswith(b"\r")
        pairs = data.count(b"\r\n")
        return data.count(b"\n") == pairs and data.count(b"\r") == pairs + self._after_cr

    @property
    def complete(self) -> bool:
        """False when the content ended on a CR."""
        return not self._after_cr


@define
class Chunk:
    """The content of a BDAT (RFC 3030 §2); `refusal` if it is only to be skipped."""

    size: int
    last: bool
    refusal: SmtpReply | None = None
    remaining: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.remaining = self.size


@define
class Message:
    """What is known of a message while it comes in; `fault` is the first one found."""

    size_limit: int | None
    fault: SmtpReply | None = None
    size: int = 0
    _line_endings: LineEndings = field(factory=LineEndings)

    def feed(self, content: bytes) -> SmtpReply | None:
        """Look at the next octets; the fault, if there is one now."""
        self.size += len(content)
        if self.fault is None:
            if self.size_limit is not None and self.size > self.size_limit:
                self.fault = replies.MESSAGE_TOO_BIG  # RFC 1870 §6.3
            elif not self._line_endings.feed(content):
                # Chunks as well: without BINARYMIME they are lines of text (RFC 3030 §3).
                self.fault = replies.BARE_CR_OR_LF
        return self.fault

    def end(self) -> SmtpReply | None:
        """There is no more; the fault, if there is one."""
        if self.fault is None and not self._line_endings.complete:
            self.fault = replies.BARE_CR_OR_LF
        return self.fault

"""A message as it goes over the wire after DATA (RFC 5321 §4.5.2)."""

import re

__all__ = ["DotStuffing"]

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class DotStuffing:
    """Doubles the dots at the beginning of lines, and ends every line with CR LF.

    A bare CR or LF is made a line's end, as no server has to take one and some take
    it for another one (RFC 5321 §2.3.8).
    """

    def __init__(self) -> None:
        self._pending = b""  # a CR that may have a LF to come
        self._at_line_start = True

    def feed(self, chunk: bytes) -> bytes:
        """The octets to be sent for the next ones of the message."""
        octets = self._pending + chunk
        self._pending = b""
        if octets.endswith(b"\r"):
            octets, self._pending = octets[:-1], b"\r"
        if not octets:
            return b""
        octets = _BARE.sub(b"\r\n", octets)
        stuffed = octets.replace(b"\r\n.", b"\r\n..")
        if self._at_line_start and stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = octets.endswith(b"\r\n")
        return stuffed

    def end(self) -> bytes:
        """The octets that end the message."""
        last = self.feed(b"\n") if self._pending else b""
        return last + (b"" if self._at_line_start else b"\r\n") + b".\r\n"

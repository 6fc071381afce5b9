"""What the peer sent and nobody looked at yet; command lines are cut from it."""

from mailhive.smtp import replies
from mailhive.smtp.commands import CommandError

__all__ = ["AUTH_LINE_LIMIT", "LINE_LIMIT", "LONG_LINE_LIMIT", "InputBuffer"]

#: Octets of a command line with its CRLF: RFC 5321 §4.5.3.1.4, and more where
#: parameters can follow an address (§4.1.1.11).
LINE_LIMIT = 512
LONG_LINE_LIMIT = 2048
#: With credentials in base64 (RFC 4954 §4).
AUTH_LINE_LIMIT = 12288


class InputBuffer:
    """A queue of octets.  Of a line without an end it keeps `limit` at most."""

    def __init__(self, limit: int = LONG_LINE_LIMIT) -> None:
        self._limit = limit
        self._octets = bytearray()
        self._skipping = False  # the rest of a line that is too long

    def __len__(self) -> int:
        return len(self._octets)

    def receive(self, data: bytes) -> None:
        """Append `data`."""
        self._octets += data

    def take(self, limit: int | None = None) -> bytes:
        """Remove and return what is there, up to `limit` octets."""
        data = bytes(self._octets[:limit])
        del self._octets[:limit]
        return data

    def clear(self) -> None:
        """Forget everything."""
        self._octets.clear()
        self._skipping = False

    def line(self) -> bytes | None:
        """Remove and return a line with its CRLF, None while there is none.

        Raises `CommandError` for a line that is too long or wrongly ended.
        """
        end = self._octets.find(b"\n")
        if end < 0:
            if self._skipping or len(self._octets) >= self._limit:
                self._skipping = True
                self._octets.clear()
            return None
        too_long = self._skipping or end >= self._limit
        self._skipping = False
        if too_long:
            del self._octets[: end + 1]
            raise CommandError(replies.LINE_TOO_LONG)
        line = self.take(end + 1)
        # RFC 5321 §2.3.8: lines end with CR LF, and neither comes alone.
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise CommandError(replies.BARE_LINE_ENDING)
        return line

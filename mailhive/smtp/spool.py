"""A message that waits for what checks say of it before it is written to the blob store."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile

from mailhive.errors import TemporaryFailure

__all__ = ["Spool"]

#: Octets that are kept in memory.
_SMALL = 262_144
_CHUNK = 262_144
#: Octets of a header section; longer ones are nobody's.
_MOST_HEADER = 1_000_000


class Spool:
    """What is written waits, in `directory` if it is long, in a file without a name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = SpooledTemporaryFile(max_size=_SMALL, dir=str(directory))  # noqa: SIM115
        self._body = 0  # where it begins

    def write(self, data: bytes) -> None:
        """Append octets of the message; `TemporaryFailure` if there is no room."""
        try:
            self._file.write(data)
        except OSError as error:
            raise TemporaryFailure(f"A message cannot be spooled: {error.strerror}") from error

    def header(self) -> bytes | None:
        """The header section, once all was written; None if it is too long."""
        self._file.seek(0)
        start = self._file.read(_MOST_HEADER)
        if start.startswith(b"\r\n"):
            return b""
        end = start.find(b"\r\n\r\n")
        if end < 0 and len(start) == _MOST_HEADER:
            return None
        header = start if end < 0 else start[: end + 2]
        self._body = len(header)
        return header

    def body(self) -> bytes:
        """All behind the empty line, once the header was read."""
        return b"".join(self.body_chunks())

    def body_chunks(self) -> Iterator[bytes]:
        """The same in pieces."""
        rest = self.rest()
        yield next(rest, b"").removeprefix(b"\r\n")
        yield from rest

    def rest(self) -> Iterator[bytes]:
        """All behind the header, the empty line included, in pieces."""
        self._file.seek(self._body)
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def another(self) -> "Spool":
        """One beside it, for a body that can take the place of its own."""
        other = Spool(self._directory)
        other.write(b"\r\n")
        return other

    def take_body(self, other: "Spool") -> None:
        """Let what was written to `another` be the body, and close what was."""
        self._file, other._file = other._file, self._file
        other.close()
        self._body = 0

    def close(self) -> None:
        """Forget the message."""
        self._file.close()

"""A message that waits for the judgement on it before it is written to the blob store."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from mailhive.errors import TemporaryFailure

__all__ = ["Spool"]

#: Octets that are kept in memory.
_SMALL = 262_144
_CHUNK = 262_144
#: Octets of a header section; longer ones are nobody's.
_MOST_HEADER = 1_000_000


class Spool:
    """What is written waits; `writer`, an `IBlobWriter`, has what goes before it.

    `directory` is where long messages wait, in files without a name.  Exactly one of
    `release` and `abort` ends it.
    """

    def __init__(self, writer: Any, directory: Path) -> None:
        self._writer = writer
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
        self._file.seek(self._body)
        return self._file.read().removeprefix(b"\r\n")

    def release(self, header: bytes) -> Any:
        """The writer, with that header and what is behind the message's own."""
        try:
            self._writer.write(header)
            for chunk in self._rest():
                self._writer.write(chunk)
        finally:
            self._file.close()
        return self._writer

    def abort(self) -> None:
        """Forget the message."""
        self._file.close()
        self._writer.abort()

    def _rest(self) -> Iterator[bytes]:
        self._file.seek(self._body)
        while chunk := self._file.read(_CHUNK):
            yield chunk

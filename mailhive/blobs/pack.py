"""Packs: files to which blobs are appended, and from which an index can be rebuilt.

A pack starts with a header of 32 octets and goes on with records:

    pack    magic 8 | key 16 | check 8
    record  magic 4 | kind 1 | zero 3 | length 8 | committed 8 | digest 32 | check 8 | body

Numbers are big-endian; `committed` is the time in seconds since 1970 as a double.
A record of kind `B` is a blob whose body is `length` octets with the SHA-256
`digest`; one of kind `D` says that the blob of that digest was deleted, and has
no body.  `check` is a keyed BLAKE2b of the fields before it, and in a record of
its offset too.  As the key is random and stays in the pack, octets inside a
message can never pass for a record, whatever its sender wrote there.

What a crash leaves behind the last durable record is no record, or a whole one
that was never answered for.
"""

import os
import re
import struct
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path

from attrs import define, frozen

__all__ = [
    "BLOB",
    "DELETED",
    "PACK_HEADER_SIZE",
    "RECORD_SIZE",
    "Batch",
    "Pack",
    "PackUnreadable",
    "Record",
    "pack_numbers",
    "pack_path",
    "sync_directory",
]

BLOB = b"B"
DELETED = b"D"

_PACK_MAGIC = b"mhpack\x001"
_PACK = struct.Struct(">8s16s8s")
_RECORD_MAGIC = b"\x93mhr"
_RECORD = struct.Struct(">4sc3xQd32s8s")
_CHECKED = _RECORD.size - 8
_WINDOW = 1 << 20  # octets read at once while looking for the next record

#: Octets before the first record.
PACK_HEADER_SIZE = _PACK.size
#: Octets that a record takes besides its body.
RECORD_SIZE = _RECORD.size
_NAME = re.compile(r"(\d{8,})\.pack", re.ASCII)


class PackUnreadable(Exception):
    """The header of a pack is damaged, so that its records cannot be told from noise."""


@frozen
class Record:
    """A record as found: `start` is the offset of its body."""

    kind: bytes
    digest: bytes
    start: int
    length: int
    committed: float

    @property
    def end(self) -> int:
        return self.start + (self.length if self.kind == BLOB else 0)


def pack_numbers(directory: Path) -> list[int]:
    """The numbers of the packs in `directory`, oldest first."""
    names = (_NAME.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(name[1]) for name in names if name)


def pack_path(directory: Path, number: int) -> Path:
    """The file of the pack with that number."""
    return directory / f"{number:08}.pack"


@define
class Pack:
    """One pack, opened for appending and scanning.  `end` is where the next record goes.

    Every method may raise OSError.  When one does while making something
    durable, `suspect` stays true and the pack must not be written again: what
    the kernel could not store it may have forgotten, and the next sync would not
    tell.
    """

    number: int
    path: Path
    end: int
    _fd: int
    _key: bytes
    suspect: bool = False

    @classmethod
    def create(cls, directory: Path, number: int) -> "Pack":
        """A new pack whose header is durable.  A failure leaves no file."""
        path = pack_path(directory, number)
        key = os.urandom(16)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_at(fd, _PACK.pack(_PACK_MAGIC, key, _check(key, _PACK_MAGIC)), 0)
            os.fsync(fd)
            sync_directory(directory)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return cls(number, path, PACK_HEADER_SIZE, fd, key)

    @classmethod
    def open(cls, directory: Path, number: int) -> "Pack":
        """An existing pack; `PackUnreadable` if its header is damaged."""
        path = pack_path(directory, number)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = os.pread(fd, PACK_HEADER_SIZE, 0)
            if len(header) == PACK_HEADER_SIZE:
                magic, key, check = _PACK.unpack(header)
                if magic == _PACK_MAGIC and check == _check(key, magic):
                    return cls(number, path, os.fstat(fd).st_size, fd, key)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        raise PackUnreadable(f"{path}: the header is damaged")

    def header(self, kind: bytes, digest: bytes, length: int, committed: float, at: int) -> bytes:
        """The header of a record at offset `at`."""
        head = _RECORD.pack(_RECORD_MAGIC, kind, length, committed, digest, bytes(8))[:_CHECKED]
        return head + _check(self._key, head + at.to_bytes(8, "big"))

    def append(self, data: bytes) -> None:
        """Write whole records at `end` and make them durable; `end` moves behind them."""
        _write_at(self._fd, data, self.end)
        self._sync()
        self.end += len(data)

    def truncate(self, end: int) -> None:
        """Forget what lies behind `end`, durably."""
        os.ftruncate(self._fd, end)
        self._sync()
        self.end = end

    def read(self, start: int, length: int) -> bytes:
        """Octets from `start`, fewer than `length` only at the end of the file."""
        return os.pread(self._fd, length, start)

    def close(self) -> None:
        os.close(self._fd)

    def scan(self, start: int) -> Iterator[Record]:
        """The intact records from offset `start` on; damaged stretches are left out.

        Bodies are compared with their digest, so this reads everything.
        """
        size = os.fstat(self._fd).st_size
        at = start
        while at + RECORD_SIZE <= size:
            record = self._record(at, size)
            if record is None:
                at = self._next_magic(at + 1, size)
            else:
                yield record
                at = record.end

    def _sync(self) -> None:
        self.suspect = True
        os.fdatasync(self._fd)
        self.suspect = False

    def _record(self, at: int, size: int) -> Record | None:
        head = self.read(at, RECORD_SIZE)
        if len(head) < RECORD_SIZE or not head.startswith(_RECORD_MAGIC):
            return None
        _, kind, length, committed, digest, check = _RECORD.unpack(head)
        if check != _check(self._key, head[:_CHECKED] + at.to_bytes(8, "big")):
            return None
        record = Record(kind, digest, at + RECORD_SIZE, length, committed)
        if kind == BLOB:
            body = self.read(record.start, length) if record.start + length <= size else b""
            if len(body) != length or sha256(body).digest() != digest:
                return None
        return record

    def _next_magic(self, at: int, size: int) -> int:
        while at < size:
            window = self.read(at, _WINDOW)
            found = window.find(_RECORD_MAGIC)
            if found >= 0:
                return at + found
            at += max(1, len(window) - len(_RECORD_MAGIC) + 1)
        return size


class Batch:
    """Records on their way into a pack, in one write and one sync."""

    def __init__(self, pack: Pack):
        self.pack = pack
        self.start = pack.end
        self.end = pack.end
        self.deletions = 0
        self._parts: list[bytes] = []

    def blob(self, digest: bytes, body: bytes, committed: float) -> int:
        """Add a blob; returns the offset that its octets will have."""
        self._add(BLOB, digest, len(body), committed)
        self._parts.append(body)
        start, self.end = self.end, self.end + len(body)
        return start

    def deleted(self, digest: bytes, now: float) -> None:
        """Add the deletion of a blob."""
        self._add(DELETED, digest, 0, now)
        self.deletions += 1

    def write(self) -> None:
        """Make it durable.  OSError when that failed."""
        if self._parts:
            self.pack.append(b"".join(self._parts))

    def _add(self, kind: bytes, digest: bytes, length: int, when: float) -> None:
        self._parts.append(self.pack.header(kind, digest, length, when, self.end))
        self.end += RECORD_SIZE


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check(key: bytes, data: bytes) -> bytes:
    return blake2b(data, key=key, digest_size=8).digest()


def _write_at(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written

"""Reading from packs: a few descriptors kept open, in the reactor thread."""

import errno
import os
from collections import OrderedDict
from pathlib import Path

from mailhive.blobs.pack import pack_path

__all__ = ["OpenPack", "OpenPacks", "read_file"]

_KEPT_OPEN = 64
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)  # Linux


class OpenPack:
    """A pack open for reading.  It stays readable when its file is removed meanwhile."""

    def __init__(self, path: Path):
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._users = 1

    def read_cached(self, start: int, length: int) -> bytes | None:
        """The octets if the page cache holds them all, else None.  Never waits for the disk."""
        if not _NOWAIT:
            return None
        data = bytearray(length)
        try:
            if os.preadv(self._fd, [data], start, _NOWAIT) == length:
                return bytes(data)
        except OSError as error:
            # Any other error is for the read that is allowed to wait.
            if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EIO):
                raise
        return None

    def read(self, start: int, length: int) -> bytes:
        """The octets; OSError.  May be called in any thread between `hold` and `release`."""
        return _read_all(self._fd, start, length)

    def hold(self) -> None:
        """Keep it open until a `release`."""
        self._users += 1

    def release(self) -> None:
        """Undo a `hold`, or the opening."""
        self._users -= 1
        if self._users == 0:
            os.close(self._fd)


class OpenPacks:
    """The packs used last, kept open."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._open: OrderedDict[int, OpenPack] = OrderedDict()

    def get(self, number: int) -> OpenPack:
        """The pack of that number; FileNotFoundError when it was removed."""
        pack = self._open.get(number)
        if pack is None:
            pack = self._open[number] = OpenPack(pack_path(self._directory, number))
            if len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)[1].release()
        else:
            self._open.move_to_end(number)
        return pack

    def forget(self, number: int) -> None:
        """Close a pack that was removed, so that its space becomes free."""
        pack = self._open.pop(number, None)
        if pack is not None:
            pack.release()

    def close(self) -> None:
        for number in list(self._open):
            self.forget(number)


def read_file(path: Path, start: int, length: int) -> bytes:
    """Octets of a file; OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read_all(fd, start, length)
    finally:
        os.close(fd)


def _read_all(fd: int, start: int, length: int) -> bytes:
    # One call of pread stops at 2 GiB and may stop earlier.
    data = os.pread(fd, length, start)
    while len(data) < length:
        more = os.pread(fd, length - len(data), start + len(data))
        if not more:
            raise OSError(errno.EIO, "the file ends before the blob does")
        data += more
    return data

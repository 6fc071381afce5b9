"""A directory belongs to one process, and remembers whether that one said goodbye."""

import fcntl
import os
from pathlib import Path

from mailhive.blobs.errors import BlobStoreUnusable

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """The lock on a directory: held by the descriptor, so a crash releases it.

    The file holds the owner's process id while the directory is in use, and is
    empty after a clean end.
    """

    def __init__(self, path: Path):
        """Take the lock; `BlobStoreUnusable` if another process has it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            process = f"process {owner}" if owner else "another process"
            raise BlobStoreUnusable(f"{path.parent} is in use by {process}") from None
        #: Did the last owner end without `release`?
        self.unclean = bool(owner)
        self._say(str(os.getpid()))

    def release(self, *, clean: bool) -> None:
        """Let go; `clean` when everything in the directory is as it should be."""
        if clean:
            self._say("")
        os.close(self._fd)

    def _say(self, text: str) -> None:
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, text.encode("ascii"), 0)
        os.fsync(self._fd)

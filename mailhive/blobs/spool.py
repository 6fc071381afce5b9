"""Temporary files of blobs too large to hold in memory while they are written."""

import os
import secrets
from pathlib import Path

__all__ = ["Spool", "SpoolDirectory"]


class SpoolDirectory:
    """Makes spools that can be given a name in `target` once they are complete.

    They have no name until then where the file system can do that (O_TMPFILE),
    so nothing is left of them when the process ends.  Elsewhere they have one in
    `fallback`, which `clear` empties at the next start.
    """

    def __init__(self, target: Path, fallback: Path):
        self._target = target
        self._fallback = fallback
        self._unnamed = False

    def open(self) -> None:
        """Make the directories, clear what a crash left, see what the file system can do."""
        self._target.mkdir(mode=0o700, exist_ok=True)
        self._fallback.mkdir(mode=0o700, exist_ok=True)
        for leftover in self._fallback.iterdir():
            leftover.unlink(missing_ok=True)
        self.join()

    def join(self) -> None:
        """See what the file system can do, where another process has opened them."""
        self._unnamed = self._can_be_unnamed()

    def new(self) -> "Spool":
        """An empty spool.  OSError if there can be none."""
        if self._unnamed:
            return Spool(os.open(self._target, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path = self._name()
        return Spool(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path)

    def hand_over(self, spool: "Spool") -> Path:
        """Give a spool a name by which another process can `take` it; OSError."""
        return spool.hand_over(self._name())

    @staticmethod
    def take(path: Path) -> "Spool":
        """The spool that another process has handed over; OSError."""
        return Spool(os.open(path, os.O_RDWR | os.O_CLOEXEC), path)

    def _name(self) -> Path:
        return self._fallback / secrets.token_hex(16)

    def _can_be_unnamed(self) -> bool:
        if not hasattr(os, "O_TMPFILE"):
            return False
        probe = self._name()
        try:
            spool = Spool(os.open(self._target, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
            try:
                spool.link(probe)
            finally:
                spool.close()
            probe.unlink()
        except OSError:
            return False
        return True


class Spool:
    """One temporary file.  Every method but `close` may raise OSError."""

    def __init__(self, fd: int, path: Path | None = None):
        # A file object, so that a spool that is dropped closes its descriptor.
        self._file = os.fdopen(fd, "r+b", buffering=0)
        self._path = path

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def read(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def link(self, path: Path) -> bool:
        """Give it a name; False if there is a file of that name, which is left alone.

        The name is durable once the directory was synced.
        """
        try:
            if self._path is not None:
                os.link(self._path, path)
            else:
                # With a directory descriptor os.link follows the link in /proc.
                directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    source = f"/proc/self/fd/{self._file.fileno()}"
                    os.link(source, path.name, dst_dir_fd=directory, follow_symlinks=True)
                finally:
                    os.close(directory)
        except FileExistsError:
            return False
        return True

    def hand_over(self, path: Path) -> Path:
        """Leave its file to somebody else, by the name that it has, or else by `path`."""
        if self._path is None:
            self.link(path)
            return path
        path, self._path = self._path, None
        return path

    def close(self) -> None:
        """Let go of it; what was not linked is gone.  Idempotent."""
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

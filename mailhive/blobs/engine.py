"""The file-based blob store itself: synchronous, and used by one thread at a time.

    packs/00000001.pack ...   small blobs, appended (`pack`)
    files/<blob id>           one file for each large blob
    index.sqlite              where each blob lies (`index`); may be deleted while stopped
    tmp/                      spools, where the file system knows no unnamed files
    lock                      who has the store open (`lock`)

**Rounds.**  Commits and deletions that wait together are one round: their
records are appended to the current pack and made durable by one sync, large
files get their names and one sync of their directory, then one index transaction
makes the round visible.  A round happens as a whole or fails as a whole.  What a
failed one wrote is cut off; if it was the sync that failed, the next round starts
a new pack.

**Recovery** (`recovery`).  The index says up to where it covers each pack.  What
lies behind is read at the start, and a torn tail is cut off.  An index that is
missing, damaged or does not fit the packs is made again from all of them.  A
large file gets its name only when its content is durable, so those that the
index does not know after a crash are taken in; at worst such a blob was never
answered for, and the collector of unreferenced blobs finds it.

**Compaction.**  A pack of which less than half is in use is copied to the end of
the log, a slice between rounds at a time, and then removed.  A deletion that it
records is copied as long as an older pack could still hold the blob, so that
making the index again cannot bring it back.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
from attrs import define, evolve, frozen
from twisted.logger import Logger

from mailhive.blobs.index import OWN_FILE, Location
from mailhive.blobs.lock import DirectoryLock
from mailhive.blobs.names import id_of
from mailhive.blobs.pack import (
    BLOB,
    PACK_HEADER_SIZE,
    RECORD_SIZE,
    Batch,
    Pack,
    PackUnreadable,
    Record,
    pack_numbers,
    sync_directory,
)
from mailhive.blobs.recovery import recover
from mailhive.blobs.spool import Spool, SpoolDirectory

__all__ = ["DISK_ERRORS", "Delete", "Engine", "Job", "Put", "Touch"]

#: What the methods of an engine raise when the disk refuses.
DISK_ERRORS = (OSError, apsw.Error)

_SLICE = 2 << 20  # octets of a pack looked at per step of a compaction
_WORTH_COMPACTING = 1 << 20  # octets; a smaller pack is left alone


@frozen
class Put:
    """Store a blob: `body`, or what `spool` holds.

    With `own_file` the spool, already synced, becomes the file of the blob.
    """

    digest: bytes
    length: int
    committed: float
    body: bytes | None = None
    spool: Spool | None = None
    own_file: bool = False


@frozen
class Touch:
    """Say that a blob was wanted again."""

    digest: bytes
    committed: float


@frozen
class Delete:
    """Forget a blob; with `before` only if it was last committed earlier."""

    digest: bytes
    before: float | None = None


Job = Put | Touch | Delete


@define
class _Compaction:
    """A pack on its way out, and what of it was not looked at yet."""

    pack: Pack
    records: Iterator[Record]
    oldest: bool


class Engine:
    """An open store.  Opening raises `BlobStoreUnusable` or OSError."""

    log = Logger()

    def __init__(self, root: Path, pack_size: int):
        self.packs = root / "packs"
        self.files = root / "files"
        self.index_path = root / "index.sqlite"
        self.spools = SpoolDirectory(self.files, root / "tmp")
        self._pack_size = pack_size
        self._pack: Pack | None = None
        self._compaction: _Compaction | None = None
        self._may_compact = True
        self._damaged: set[int] = set()

        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = DirectoryLock(root / "lock")
        try:
            self.packs.mkdir(mode=0o700, exist_ok=True)
            self.spools.open()
            sync_directory(root)
            self._index = recover(
                self.packs, self.files, self.index_path, unclean=self._lock.unclean
            )
            numbers = pack_numbers(self.packs)
            self._last = max([*numbers, *self._index.packs()], default=0)
            if numbers:
                with suppress(PackUnreadable):
                    self._pack = Pack.open(self.packs, numbers[-1])
        except BaseException:
            self._lock.release(clean=False)
            raise

    def close(self) -> None:
        """Let go of everything.  What was carried out is durable already."""
        self._end_compaction()
        if self._pack is not None:
            self._pack.close()
        self._index.close()
        self._lock.release(clean=True)

    # Rounds

    def run(self, jobs: Sequence[Job]) -> list[bool]:
        """Carry out `jobs` in order, durably; none of them if it raises OSError or apsw.Error.

        Returns of each whether it found its blob, and found it old enough; True for a Put.
        """
        done: list[bool] = []
        changes: dict[bytes, Location | None] = {}
        spools: dict[bytes, Spool] = {}
        linked: list[Path] = []
        had_file: set[bytes] = set()
        with self._batch() as batch:
            for job in jobs:
                digest = job.digest
                known = changes[digest] if digest in changes else self._known(digest)
                done.append(_takes_effect(job, known))
                if not done[-1]:
                    continue
                if isinstance(job, Delete):
                    changes[digest] = None
                    if known is not None and known.pack == OWN_FILE:
                        had_file.add(digest)
                    else:
                        batch.deleted(digest, time.time())
                elif known is not None:
                    # Jobs need not come in the order of their times.
                    latest = max(known.committed, job.committed)
                    changes[digest] = evolve(known, committed=latest)
                elif isinstance(job, Put):
                    changes[digest] = self._place(job, batch)
                    if job.own_file and job.spool is not None:
                        spools[digest] = job.spool
            batch.write()
            try:
                for digest, spool in spools.items():
                    if changes[digest] is not None:
                        path = self.files / id_of(digest)
                        if spool.link(path):
                            linked.append(path)
                if spools:
                    sync_directory(self.files)
                with self._index.transaction():
                    self._index.extend(batch.pack.number, batch.end, batch.deletions)
                    for digest, location in changes.items():
                        if location is not None:
                            self._index.put(digest, location)
                        else:
                            self._index.remove(digest)
            except BaseException:
                for path in linked:
                    with suppress(OSError):
                        path.unlink()
                raise
        has_file = {digest for digest, at in changes.items() if at and at.pack == OWN_FILE}
        self._unlink([self.files / id_of(digest) for digest in had_file - has_file])
        self._may_compact = self._may_compact or None in changes.values()
        return done

    def _known(self, digest: bytes) -> Location | None:
        location = self._index.lookup(digest)
        if location is not None and location.pack == OWN_FILE:
            # Somebody may have removed the file; then it is not stored.
            return location if (self.files / id_of(digest)).exists() else None
        return location

    @staticmethod
    def _place(job: Put, batch: Batch) -> Location:
        if job.own_file:
            return Location(OWN_FILE, 0, job.length, job.committed)
        body = job.body if job.spool is None else job.spool.read()
        assert body is not None
        start = batch.blob(job.digest, body, job.committed)
        return Location(batch.pack.number, start, job.length, job.committed)

    def _unlink(self, paths: list[Path]) -> None:
        """Remove the files of blobs that the index no longer knows."""
        if not paths:
            return
        try:
            self._index.sync()  # else a crash could bring back what it knew of them
            for path in paths:
                path.unlink(missing_ok=True)
            sync_directory(self.files)
        except DISK_ERRORS as error:
            # Unreadable already; at worst a crash makes it an unreferenced blob again.
            self.log.error("A deleted blob still takes space: {error}", error=str(error))

    @contextmanager
    def _batch(self) -> Iterator[Batch]:
        """A batch on the current pack.  What it wrote is cut off if the body raises."""
        if self._pack is None or self._pack.end >= self._pack_size:
            pack = Pack.create(self.packs, self._last + 1)
            self._last = pack.number
            self._seal()
            self._pack = pack
        batch = Batch(self._pack)
        try:
            yield batch
        except BaseException:
            self._cut_off(batch)
            raise

    def _cut_off(self, batch: Batch) -> None:
        pack = batch.pack
        suspect = pack.suspect
        try:
            pack.truncate(batch.start)
        except OSError as error:
            suspect = True
            self.log.error("Cannot cut {path}: {error}", path=str(pack.path), error=str(error))
        if suspect:
            self._seal()
            if batch.start == PACK_HEADER_SIZE:
                with suppress(OSError):
                    pack.path.unlink()

    def _seal(self) -> None:
        """Write no more to the current pack."""
        if self._pack is not None:
            self._pack.close()
            self._pack = None

    # Between rounds

    @property
    def has_chores(self) -> bool:
        """Is there something for `do_chore` to do?"""
        return self._may_compact or self._compaction is not None

    def checkpoint(self, idle: bool) -> None:
        """Keep the log of the index short; apsw.Error."""
        self._index.checkpoint(idle)

    def do_chore(self) -> int | None:
        """A slice of compaction.  Returns the number of the pack that it removed, if it did.

        After an OSError or apsw.Error the compaction waits for the next deletion.
        """
        try:
            if self._compaction is None:
                self._begin_compaction()
            elif self._copy_slice(self._compaction):
                return self._remove_pack(self._compaction.pack)
        except BaseException:
            self._end_compaction()
            raise
        return None

    def _begin_compaction(self) -> None:
        self._may_compact = False
        packs = self._index.packs()
        first = min(pack_numbers(self.packs), default=0)
        worth = []
        for number, usage in packs.items():
            # What the oldest pack says of deletions is of no use any more.
            needed = usage.live + (usage.deletions * RECORD_SIZE if number != first else 0)
            large_enough = usage.end > min(_WORTH_COMPACTING, self._pack_size)
            if large_enough and needed * 2 < usage.end and number not in self._damaged:
                worth.append((needed / usage.end, number))
        if not worth:
            return
        _, number = min(worth)
        if self._pack is not None and self._pack.number == number:
            self._seal()
        try:
            pack = Pack.open(self.packs, number)
        except PackUnreadable as error:
            self._damaged.add(number)
            self.log.critical("{error}; it cannot be compacted", error=str(error))
            return
        self._compaction = _Compaction(pack, pack.scan(PACK_HEADER_SIZE), number == first)

    def _copy_slice(self, compaction: _Compaction) -> bool:
        """Copy what is of use among the next records; True when there were no more."""
        moved: dict[bytes, Location] = {}
        finished = True
        looked_at = 0
        with self._batch() as batch:
            for record in compaction.records:
                at = self._index.lookup(record.digest)
                if record.kind == BLOB:
                    here = (compaction.pack.number, record.start)
                    if at is not None and (at.pack, at.start) == here:
                        body = compaction.pack.read(record.start, record.length)
                        start = batch.blob(record.digest, body, at.committed)
                        moved[record.digest] = evolve(at, pack=batch.pack.number, start=start)
                elif at is None and not compaction.oldest:
                    batch.deleted(record.digest, record.committed)
                looked_at += record.length
                if looked_at > _SLICE:
                    finished = False
                    break
            batch.write()
            with self._index.transaction():
                self._index.extend(batch.pack.number, batch.end, batch.deletions)
                for digest, location in moved.items():
                    self._index.put(digest, location)
        return finished

    def _remove_pack(self, pack: Pack) -> int | None:
        self._end_compaction()
        self._may_compact = True
        if self._index.packs()[pack.number].live:
            self._damaged.add(pack.number)
            self.log.critical("{path} is damaged: some blobs cannot be read", path=str(pack.path))
            return None
        self._index.sync()  # else a crash could make its blobs look lost
        pack.path.unlink()
        sync_directory(self.packs)
        with self._index.transaction():
            self._index.forget_pack(pack.number)
        return pack.number

    def _end_compaction(self) -> None:
        if self._compaction is not None:
            self._compaction.pack.close()
            self._compaction = None


def _takes_effect(job: Job, known: Location | None) -> bool:
    if isinstance(job, Put):
        return True
    if known is None:
        return False
    return isinstance(job, Touch) or job.before is None or known.committed < job.before

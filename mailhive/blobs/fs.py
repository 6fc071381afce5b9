"""The file-based blob store under Twisted: one writer thread, readers beside it.

The reactor thread looks ids up in the index and answers small reads that the
page cache holds; the kernel says when it does not, and then a thread of the pool
reads.  Everything that changes the store is done by one thread (`engine`), which
takes whatever waits as one round.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import apsw
from attrs import Attribute, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.blobs.engine import DISK_ERRORS, Delete, Engine, Job, Touch
from mailhive.blobs.errors import BlobStoreUnusable
from mailhive.blobs.files import OpenPack, OpenPacks, read_file
from mailhive.blobs.holds import Holds
from mailhive.blobs.index import OWN_FILE, IndexReader, Location
from mailhive.blobs.names import digest_of, id_of
from mailhive.blobs.remote import Desk, Remote
from mailhive.blobs.spool import Spool, SpoolDirectory
from mailhive.blobs.worker import Worker
from mailhive.blobs.writer import FsBlobWriter
from mailhive.config.units import Size, format_size
from mailhive.errors import BlobNotFound, MailhiveError, TemporaryFailure
from mailhive.interfaces.blobs import IBlobStore
from mailhive.registry import Provider

__all__ = ["PROVIDER", "FsBlobStore", "FsSettings", "build"]

_READ_INLINE = 256 * 1024  # octets


def _between(least: int, most: int) -> Any:
    def check(_: object, __: "Attribute[Size]", value: Size) -> None:
        if not least <= value <= most:
            raise ValueError(
                f"{format_size(value)} is out of range; "
                f"allowed is {format_size(least)} to {format_size(most)}"
            )

    return check


@frozen
class FsSettings:
    """`type = "fs"`: blobs in files below the data directory."""

    path: str = field(
        default="blobs",
        metadata={"doc": "The directory of the store, relative to `server.data-dir`."},
    )
    pack_size: Size = field(
        default=Size(256_000_000),
        validator=_between(1_000_000, 16_000_000_000),
        metadata={"doc": "A new pack file is begun when the current one has reached this size."},
    )
    largest_packed: Size = field(
        default=Size(1_000_000),
        validator=_between(0, 64_000_000),
        metadata={"doc": "Blobs up to this size are appended to a pack, larger ones get a file."},
    )


@implementer(IBlobStore)
class FsBlobStore(Service):
    """A blob store in the directory `root`; open from `startService` to `stopService`.

    `offload(function, *arguments)` runs something in a thread of the pool and
    returns its Deferred.  Of several processes, `peers` (`IPeers`), the office changes
    the store for all.
    """

    log = Logger()

    def __init__(
        self,
        root: Path,
        reactor: Any,
        offload: Callable[..., Deferred[Any]],
        *,
        pack_size: int = 256_000_000,
        largest_packed: int = 1_000_000,
        peers: Any = None,
    ):
        self._root = root
        self._reactor = reactor
        self._offload = offload
        self._pack_size = pack_size
        self._largest_packed = largest_packed
        self._index: IndexReader | None = None
        self._index_path = root / "index.sqlite"
        self._spools = SpoolDirectory(root / "files", root / "tmp")
        self._worker: Worker | Remote | None = None
        self._packs = OpenPacks(root / "packs")
        self._syncs: set[Deferred[None]] = set()
        self._holds = Holds(reactor.seconds)
        self._peers = peers
        if peers is not None and peers.is_office:
            Desk(peers, reactor, self._holds, self._submit)
        elif peers is not None:
            peers.serve("blobs.pack_removed", lambda _, number: self._packs.forget(number))
            peers.on_join(self._joined)

    def startService(self) -> None:
        """Open the store; `BlobStoreUnusable` says why it cannot be."""
        try:
            if self._peers is None or self._peers.is_office:
                self._open_engine()
            else:
                self._spools.join()
                self._index = IndexReader(self._index_path)
                self._worker = Remote(self._peers, self._offload, self._holds, self._spools)
        except DISK_ERRORS as error:
            raise BlobStoreUnusable(f"cannot open the blobs in {self._root}: {error}") from error
        super().startService()

    def _open_engine(self) -> None:
        engine = Engine(self._root, self._pack_size)
        try:
            self._index = IndexReader(self._index_path)
        except apsw.Error:
            engine.close()
            raise
        self._spools = engine.spools
        self._worker = Worker(engine, self._reactor, self._pack_removed)

    def _pack_removed(self, number: int) -> None:
        self._packs.forget(number)
        if self._peers is not None:
            self._peers.tell("blobs.pack_removed", number)

    def _joined(self, worker: int) -> None:
        """Another office may have made the index again, and removed packs unheard."""
        if worker == 0 and self._index is not None:
            self._packs.close()
            self._index.close()
            self._index = IndexReader(self._index_path)
            if isinstance(self._worker, Remote):
                self._worker.tell_of_holds()

    def stopService(self) -> Deferred[None]:
        """Finish what was begun; the Deferred fires when the store is closed."""
        super().stopService()
        if self._worker is None:
            return succeed(None)
        # Large blobs that are being synced still become jobs of the worker.
        synced = DeferredList(list(self._syncs))
        return synced.addCallback(self._stop_worker, self._worker).addCallback(self._close)

    def _stop_worker(self, _: object, worker: Worker | Remote) -> Deferred[None]:
        return worker.stop()

    def _close(self, _: object) -> None:
        if self._index is not None:
            self._index.close()
        self._packs.close()
        self._index = self._worker = None

    # IBlobStore

    def open_writer(self) -> FsBlobWriter:
        if self._worker is None or not self.running:
            raise _closed()
        return FsBlobWriter(
            self._spools,
            self._largest_packed,
            self._reactor.seconds,
            self._sync,
            self._submit,
        )

    def read(self, blob_id: str, start: int = 0, length: int | None = None) -> Deferred[bytes]:
        try:
            location, pack = self._open(blob_id)
        except MailhiveError as error:
            return fail(error)
        first = min(start, location.length)
        count = location.length - first
        if length is not None:
            count = min(count, length)
        if pack is None:
            path = self._root / "files" / blob_id
            return self._offload(read_file, path, first, count).addErrback(_not_read, blob_id)
        first += location.start
        if count <= _READ_INLINE:
            data = pack.read_cached(first, count)
            if data is not None:
                return succeed(data)
        pack.hold()
        done = self._offload(pack.read, first, count)
        return done.addBoth(_release, pack).addErrback(_not_read, blob_id)

    def size(self, blob_id: str) -> Deferred[int]:
        try:
            return succeed(self._find(blob_id).length)
        except MailhiveError as error:
            return fail(error)

    def hold(self) -> AbstractContextManager[None]:
        if isinstance(self._worker, Remote):
            return self._worker.hold()
        return self._holds.hold()

    def horizon(self, age: float) -> float:
        return self._holds.horizon(age)

    def touch(self, blob_id: str) -> Deferred[None]:
        digest = digest_of(blob_id)
        if digest is None:
            return fail(BlobNotFound(blob_id))
        touched = self._submit(Touch(digest, self._reactor.seconds()))
        return touched.addCallback(_touched, blob_id)

    def delete(self, blob_id: str, before: float | None = None) -> Deferred[bool]:
        digest = digest_of(blob_id)
        return succeed(False) if digest is None else self._submit(Delete(digest, before))

    def older_than(
        self, timestamp: float, after: str = "", limit: int = 1000
    ) -> Deferred[list[str]]:
        if self._index is None:
            return fail(_closed())
        found = self._offload(
            _older_than, self._index_path, timestamp, digest_of(after) or b"", limit
        )
        return found.addErrback(_not_read, "index")

    # Reactor thread

    def _find(self, blob_id: str) -> Location:
        if self._index is None:
            raise _closed()
        digest = digest_of(blob_id)
        try:
            location = self._index.lookup(digest) if digest is not None else None
        except apsw.Error as error:
            self.log.critical(
                "The index of the blobs cannot be read: {error}; "
                "it is made again at the start when {path} was deleted",
                error=str(error),
                path=str(self._index_path),
            )
            raise TemporaryFailure("the index of the blobs cannot be read") from error
        if location is None:
            raise BlobNotFound(blob_id)
        return location

    def _open(self, blob_id: str) -> tuple[Location, OpenPack | None]:
        """Where a blob is, and the pack that holds it unless it has a file of its own."""
        while True:
            location = self._find(blob_id)
            if location.pack == OWN_FILE:
                return location, None
            try:
                return location, self._packs.get(location.pack)
            except FileNotFoundError as error:
                # A compaction that removes a pack has said before where its blobs went.
                if self._find(blob_id).pack == location.pack:
                    raise TemporaryFailure(f"blob {blob_id}: {error}") from error
            except OSError as error:
                raise TemporaryFailure(f"blob {blob_id}: {error}") from error

    def _sync(self, spool: Spool) -> Deferred[None]:
        done = self._offload(spool.sync).addErrback(_not_stored)
        self._syncs.add(done)
        done.addBoth(self._synced, done)
        return done

    def _synced(self, result: Any, done: Deferred[None]) -> Any:
        self._syncs.discard(done)
        return result

    def _submit(self, job: Job) -> Deferred[bool]:
        return fail(_closed()) if self._worker is None else self._worker.submit(job)


def _closed() -> TemporaryFailure:
    return TemporaryFailure("the blob store is closed")


def _older_than(index_path: Path, timestamp: float, after: bytes, limit: int) -> list[str]:
    index = IndexReader(index_path)
    try:
        return [id_of(digest) for digest in index.older_than(timestamp, after, limit)]
    finally:
        index.close()


def _touched(found: bool, blob_id: str) -> None:
    if not found:
        raise BlobNotFound(blob_id)


def _release(result: Any, pack: OpenPack) -> Any:
    pack.release()
    return result


def _not_stored(failure: Failure) -> NoReturn:
    failure.trap(*DISK_ERRORS)
    raise TemporaryFailure(f"blobs cannot be stored: {failure.value}") from failure.value


def _not_read(failure: Failure, blob_id: str) -> NoReturn:
    failure.trap(*DISK_ERRORS)
    if isinstance(failure.value, FileNotFoundError):
        raise BlobNotFound(blob_id) from failure.value
    raise TemporaryFailure(f"blob {blob_id}: {failure.value}") from failure.value


def build(settings: FsSettings, context: Any) -> FsBlobStore:
    """The store of these settings; opened by its `startService`."""
    return FsBlobStore(
        context.data_dir / settings.path,
        context.reactor,
        context.offload,
        pack_size=settings.pack_size,
        largest_packed=settings.largest_packed,
        peers=context.peers,
    )


PROVIDER = Provider(settings=FsSettings, build=build)

"""The file-based blob store under the reactor."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from mailhive.blobs.errors import BlobStoreUnusable
from mailhive.blobs.files import OpenPack
from mailhive.blobs.fs import PROVIDER, FsBlobStore, FsSettings
from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.testing.conformance.blobs import BlobStoreConformance, store_blob
from mailhive.testing.memory import MemoryBlobStore


def make_store(root, **options):
    from twisted.internet import reactor

    return FsBlobStore(root, reactor, deferToThread, **options)


@pytest_twisted.async_yield_fixture
async def store(tmp_path):
    store = make_store(tmp_path / "blobs")
    store.startService()
    yield store
    await store.stopService()


class TestFsBlobStore(BlobStoreConformance):
    pass


class TestFsBlobStoreOfSmallPacks(BlobStoreConformance):
    @pytest_twisted.async_yield_fixture
    async def store(self, tmp_path):
        store = make_store(tmp_path / "blobs", pack_size=4_000, largest_packed=500)
        store.startService()
        yield store
        await store.stopService()


class TestMemoryBlobStore(BlobStoreConformance):
    @pytest.fixture
    def store(self):
        return MemoryBlobStore()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@ensureDeferred
async def test_built_from_its_settings(tmp_path):
    from twisted.internet import reactor

    context = SimpleNamespace(reactor=reactor, data_dir=tmp_path, offload=deferToThread, peers=None)
    store = PROVIDER.build(FsSettings(path="mail"), context)
    assert not (tmp_path / "mail").exists()
    store.startService()
    blob = await store_blob(store, b"x")
    assert await store.read(blob) == b"x"
    await store.stopService()
    assert (tmp_path / "mail" / "packs" / "00000001.pack").exists()


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="999999B is out of range; allowed is 1M to 16G"):
        FsSettings(pack_size=999_999)
    with pytest.raises(ValueError, match="65M is out of range; allowed is 0B to 64M"):
        FsSettings(largest_packed=65_000_000)


@ensureDeferred
async def test_it_is_all_there_after_a_restart(tmp_path):
    store = make_store(tmp_path, largest_packed=1000)
    store.startService()
    small, large = await store_blob(store, b"small"), await store_blob(store, b"large" * 1000)
    gone = await store_blob(store, b"gone")
    await store.delete(gone)
    await store.stopService()
    store = make_store(tmp_path)
    store.startService()
    assert await store.read(small) == b"small"
    assert await store.read(large) == b"large" * 1000
    assert sorted(await store.older_than(9e9)) == sorted([small, large])
    await store.stopService()


@ensureDeferred
async def test_stopping_finishes_what_was_begun(tmp_path):
    store = make_store(tmp_path, largest_packed=1000)
    store.startService()
    commits = [store_blob(store, b"%d" % i * i) for i in range(1, 400)]
    done = gatherResults([Deferred.fromCoroutine(commit) for commit in commits])
    await store.stopService()
    ids = await done
    store.startService()
    assert sorted(await store.older_than(9e9)) == sorted(ids)
    await store.stopService()


@ensureDeferred
async def test_a_closed_store_says_so(tmp_path):
    store = make_store(tmp_path)
    store.startService()
    blob = await store_blob(store, b"x")
    writer = store.open_writer()
    writer.write(b"y")
    await store.stopService()
    await store.stopService()
    with pytest.raises(TemporaryFailure):
        await writer.commit()
    with pytest.raises(TemporaryFailure):
        store.open_writer()
    for call in (store.read, store.size, store.delete):
        with pytest.raises(TemporaryFailure):
            await call(blob)
    with pytest.raises(TemporaryFailure):
        await store.older_than(9e9)


def test_one_process_owns_the_directory(store, tmp_path):
    with pytest.raises(BlobStoreUnusable, match=f"is in use by process {os.getpid()}"):
        make_store(tmp_path / "blobs").startService()


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BlobStoreUnusable, match="cannot open the blobs in"):
        make_store(tmp_path / "file" / "blobs").startService()


@ensureDeferred
async def test_no_descriptor_is_left_open(tmp_path):
    before = open_descriptors()
    for _ in range(3):
        store = make_store(tmp_path, pack_size=4_000, largest_packed=1000)
        store.startService()
        for i in range(30):
            blob = await store_blob(store, b"%d" % i * 200 * i)
            await store.read(blob)
        aborted = store.open_writer()
        aborted.write(bytes(300_000))
        aborted.abort()
        await store.stopService()
    assert open_descriptors() == before


@ensureDeferred
async def test_a_disk_that_refuses_is_a_temporary_failure(store, monkeypatch, tmp_path):
    good = await store_blob(store, b"good")

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, capturedLogs():
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(TemporaryFailure, match="No space left"):
            await store_blob(store, b"refused")
    with monkeypatch.context() as patch, capturedLogs():
        patch.setattr(os, "fdatasync", refuse)
        with pytest.raises(TemporaryFailure):
            await store_blob(store, b"refused")
        with pytest.raises(TemporaryFailure):
            await store.delete(good)
    with monkeypatch.context() as patch, capturedLogs():
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(TemporaryFailure):
            await store_blob(store, bytes(2_000_000))
    with monkeypatch.context() as patch, capturedLogs():
        patch.setattr(os, "link", refuse)
        with pytest.raises(TemporaryFailure):
            await store_blob(store, bytes(2_000_000))
    assert list((tmp_path / "blobs" / "files").iterdir()) == []
    assert await store.older_than(9e9) == [good]
    after = await store_blob(store, b"after")
    assert await store.read(good) == b"good"
    assert await store.read(after) == b"after"


@ensureDeferred
async def test_a_spool_that_cannot_be_written(store, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = store.open_writer()
    writer.write(bytes(100_000))
    with monkeypatch.context() as patch:
        patch.setattr(store._spools, "new", refuse)
        with pytest.raises(TemporaryFailure, match="No space left"):
            writer.write(bytes(100_000))
    with pytest.raises(TemporaryFailure):
        await writer.commit()
    writer.abort()
    assert await store.older_than(9e9) == []


@ensureDeferred
async def test_where_the_page_cache_cannot_be_asked(store, monkeypatch):
    monkeypatch.setattr(OpenPack, "read_cached", lambda self, start, length: None)
    blob = await store_blob(store, b"from the pool")
    assert await store.read(blob, 5) == b"the pool"


@ensureDeferred
async def test_where_files_cannot_be_unnamed(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE")
    store = make_store(tmp_path)
    store.startService()
    (tmp_path / "tmp" / "leftover").write_text("of a crash")
    dropped = store.open_writer()
    dropped.write(bytes(500_000))
    blob = await store_blob(store, b"x" * 2_000_000)
    assert await store.read(blob, 1_999_999) == b"x"
    assert len(list((tmp_path / "tmp").iterdir())) == 2
    await store.stopService()
    store.startService()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert await store.size(blob) == 2_000_000
    await store.stopService()
    dropped.abort()


@ensureDeferred
async def test_reads_survive_compaction(tmp_path):
    store = make_store(tmp_path, pack_size=20_000)
    store.startService()
    ids = [await store_blob(store, b"%d" % i * 400) for i in range(100)]
    kept = ids[::5]
    reading = [store.read(blob) for blob in kept]
    await gatherResults([store.delete(blob) for blob in ids if blob not in kept])
    for _ in range(40):  # each commit lets the writer go on with its chores
        reading += [store.read(blob) for blob in kept]
        await store_blob(store, b"another", os.urandom(8))
    contents = await gatherResults(reading)
    for number, content in enumerate(contents):
        assert content == b"%d" % (ids.index(kept[number % len(kept)])) * 400
    await store.stopService()
    assert not (tmp_path / "packs" / "00000001.pack").exists()
    store.startService()
    with pytest.raises(BlobNotFound):
        await store.read(ids[1])
    await store.stopService()


@ensureDeferred
async def test_a_file_that_somebody_removed(store, tmp_path):
    blob = await store_blob(store, bytes(2_000_000))
    (tmp_path / "blobs" / "files" / blob).unlink()
    with pytest.raises(BlobNotFound):
        await store.read(blob)
    assert await store_blob(store, bytes(2_000_000)) == blob
    assert await store.read(blob) == bytes(2_000_000)

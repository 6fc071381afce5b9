"""What every `IBlobStore` does.

class TestMyStore(BlobStoreConformance):
    @pytest.fixture
    def store(self): ...          # an open, empty store
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from mailhive.errors import BlobNotFound
from mailhive.interfaces.blobs import IBlobStore, IBlobWriter
from mailhive.model.ids import is_id

__all__ = ["BlobStoreConformance"]

_NEVER_GIVEN_OUT = [
    "",
    "b",
    "B",
    "b_0_10_n",
    "../../etc/passwd",
    "b/../../etc/passwd",
    "b\x00",
    "b" * 300,
    "bé" + "a" * 51,
    "b" + "0" * 52,
    "b" + "a" * 52,
    "b" + "a" * 51 + "=",
    "b" + "v" * 52,
    "b" + "a" * 52 + "\n",
    "' OR 1=1 --",
    "\ud800",
]


async def store_blob(store: Any, *parts: bytes) -> str:
    """The id of the blob of these octets, committed."""
    writer = store.open_writer()
    for part in parts:
        writer.write(part)
    return await writer.commit()


class BlobStoreConformance:
    """Fixture `store`: an open, empty store."""

    #: The clock of the store, in seconds since 1970.
    now: Callable[[], float] = staticmethod(time.time)

    def pass_time(self) -> float:
        """Let the clock advance; returns a time that was neither before nor after."""
        before = self.now()
        while (between := self.now()) <= before + 0.001:
            pass
        while self.now() <= between + 0.001:
            pass
        return between

    @ensureDeferred
    async def test_provides_the_interfaces(self, store):
        assert verifyObject(IBlobStore, store)
        writer = store.open_writer()
        assert verifyObject(IBlobWriter, writer)
        writer.abort()

    @ensureDeferred
    async def test_reads_back_what_was_written(self, store):
        blob = await store_blob(store, b"Subject: hi\r\n", b"\r\n", bytes(range(256)))
        assert await store.read(blob) == b"Subject: hi\r\n\r\n" + bytes(range(256))
        assert await store.size(blob) == 15 + 256

    @ensureDeferred
    async def test_the_writer_counts(self, store):
        writer = store.open_writer()
        assert writer.size == 0
        writer.write(b"abc")
        writer.write(b"")
        writer.write(b"de")
        assert writer.size == 5
        writer.abort()

    @ensureDeferred
    async def test_the_writer_tells_the_id_and_what_is_in_memory(self, store):
        writer = store.open_writer()
        writer.write(b"abc")
        writer.write(b"de")
        assert writer.content == b"abcde"
        writer.write(b"f")
        assert writer.content == b"abcdef"
        blob_id = writer.blob_id()
        assert await writer.commit() == blob_id
        large = store.open_writer()
        for _ in range(4):
            large.write(bytes(1_000_000))
            assert large.content in (None, bytes(large.size))
        blob_id = large.blob_id()
        assert await large.commit() == blob_id

    @ensureDeferred
    async def test_ids_are_ids(self, store):
        """RFC 8620 §1.2, and room for the slices of `model.blobid`."""
        for content in (b"", b"a", b"b" * 1000):
            blob = await store_blob(store, content)
            assert is_id(blob)
            assert blob[0].isalpha()
            assert "_" not in blob

    @ensureDeferred
    async def test_an_empty_blob(self, store):
        blob = await store_blob(store)
        assert await store.read(blob) == b""
        assert await store.size(blob) == 0
        assert blob == await store_blob(store, b"", b"")

    @pytest.mark.parametrize("size", [100, 700_000, 3_000_000])
    @ensureDeferred
    async def test_ranges(self, store, size):
        content = _content(size)
        blob = await store_blob(store, content)
        for start, length in [
            (0, None),
            (0, 0),
            (0, 10),
            (7, 40),
            (size - 1, 1),
            (size - 5, 100),
            (size, 1),
            (size + 1, None),
            (10**15, 10**15),
            (50, None),
            (size // 2, size // 3),
        ]:
            end = None if length is None else start + length
            assert await store.read(blob, start, length) == content[start:end]

    @ensureDeferred
    async def test_equal_octets_are_one_blob(self, store):
        blob = await store_blob(store, b"same")
        assert await store_blob(store, b"sa", b"me") == blob
        other = await store_blob(store, b"other")
        assert sorted(await store.older_than(self.now() + 60)) == sorted([blob, other])

    @ensureDeferred
    async def test_a_blob_of_twenty_megabytes(self, store):
        content = _content(1_000_000)
        blob = await store_blob(store, *[content] * 20)
        assert await store.size(blob) == 20_000_000
        read = await store.read(blob)
        assert hashlib.sha256(read).digest() == hashlib.sha256(content * 20).digest()
        assert await store.read(blob, 19_999_990) == content[-10:]
        assert blob == await store_blob(store, content * 20)

    @pytest.mark.parametrize("size", [10, 300_000, 3_000_000])
    @ensureDeferred
    async def test_aborting_stores_nothing(self, store, size):
        writer = store.open_writer()
        writer.write(_content(size))
        writer.abort()
        writer.abort()
        assert await store.older_than(self.now() + 60) == []

    @ensureDeferred
    async def test_nothing_is_stored_before_the_commit(self, store):
        writer = store.open_writer()
        writer.write(b"half")
        assert await store.older_than(self.now() + 60) == []
        writer.abort()

    @pytest.mark.parametrize("blob", _NEVER_GIVEN_OUT)
    @ensureDeferred
    async def test_an_unknown_id(self, store, blob):
        await store_blob(store, b"something else")
        with pytest.raises(BlobNotFound):
            await store.read(blob)
        with pytest.raises(BlobNotFound):
            await store.read(blob, 3, 4)
        with pytest.raises(BlobNotFound):
            await store.size(blob)
        await store.delete(blob)

    @ensureDeferred
    async def test_ids_differ_by_case(self, store):
        blob = await store_blob(store, b"content")
        with pytest.raises(BlobNotFound):
            await store.read(blob.upper())
        with pytest.raises(BlobNotFound):
            await store.read(blob + "a")
        with pytest.raises(BlobNotFound):
            await store.read(blob[:-1])

    @pytest.mark.parametrize("size", [0, 10, 300_000, 3_000_000])
    @ensureDeferred
    async def test_deleting(self, store, size):
        kept = await store_blob(store, b"kept")
        blob = await store_blob(store, _content(size))
        await store.delete(blob)
        with pytest.raises(BlobNotFound):
            await store.read(blob)
        with pytest.raises(BlobNotFound):
            await store.size(blob)
        assert await store.older_than(self.now() + 60) == [kept]
        await store.delete(blob)
        assert await store.read(kept) == b"kept"

    @pytest.mark.parametrize("size", [0, 10, 300_000, 3_000_000])
    @ensureDeferred
    async def test_storing_again_what_was_deleted(self, store, size):
        blob = await store_blob(store, _content(size))
        await store.delete(blob)
        assert await store_blob(store, _content(size)) == blob
        assert await store.read(blob) == _content(size)

    @ensureDeferred
    async def test_calls_take_effect_in_their_order(self, store):
        writers = [store.open_writer() for _ in range(3)]
        for writer in writers:
            writer.write(b"contended")
        blob = await store_blob(store, b"contended")
        done = [store.delete(blob), writers[0].commit(), store.delete(blob), writers[1].commit()]
        await gatherResults(done)
        assert await store.read(blob) == b"contended"
        await gatherResults([writers[2].commit(), store.delete(blob)])
        with pytest.raises(BlobNotFound):
            await store.read(blob)

    @ensureDeferred
    async def test_older_than(self, store):
        assert await store.older_than(self.now() + 60) == []
        old = [await store_blob(store, b"old %d" % i, _content(i * 400_000)) for i in range(4)]
        between = self.pass_time()
        new = [await store_blob(store, b"new")]
        assert sorted(await store.older_than(between)) == sorted(old)
        assert sorted(await store.older_than(self.now() + 60)) == sorted(old + new)
        assert await store.older_than(between - 60) == []

    @ensureDeferred
    async def test_what_a_hold_wants_is_beyond_the_horizon(self, store):
        blob = await store_blob(store, b"old")
        between = self.pass_time()
        assert between < store.horizon(0) <= self.now()
        assert store.horizon(60) < between
        with store.hold():
            begun = self.pass_time()
            with store.hold():
                self.pass_time()
                await store.touch(blob)
            new = await store_blob(store, b"new")
            assert between < store.horizon(0) < begun
            for held in (blob, new):
                assert await store.delete(held, store.horizon(0)) is False
        self.pass_time()
        assert store.horizon(0) > begun
        for held in (blob, new):
            assert await store.delete(held, store.horizon(0)) is True
        with pytest.raises(RuntimeError), store.hold():
            raise RuntimeError
        assert self.pass_time() < store.horizon(0)

    @ensureDeferred
    async def test_older_than_goes_page_by_page(self, store):
        ids = sorted([await store_blob(store, b"%d" % i) for i in range(7)])
        soon = self.now() + 60
        pages, after = [], ""
        while page := await store.older_than(soon, after, 3):
            pages.append(page)
            after = page[-1]
        assert pages == [ids[:3], ids[3:6], ids[6:]]
        await store.delete(ids[3])
        assert await store.older_than(soon, ids[3], 2) == ids[4:6]
        assert await store.older_than(soon) == ids[:3] + ids[4:]

    @pytest.mark.parametrize("size", [10, 3_000_000])
    @ensureDeferred
    async def test_touching_makes_young_again(self, store, size):
        blob = await store_blob(store, _content(size))
        other = await store_blob(store, b"other")
        between = self.pass_time()
        await store.touch(blob)
        assert await store.older_than(between) == [other]
        assert await store.read(blob) == _content(size)
        await store.delete(blob)
        for unknown in (blob, *_NEVER_GIVEN_OUT):
            with pytest.raises(BlobNotFound):
                await store.touch(unknown)
        with pytest.raises(BlobNotFound):
            await store.read(blob)

    @pytest.mark.parametrize("size", [10, 3_000_000])
    @ensureDeferred
    async def test_deleting_what_is_old_only(self, store, size):
        again, touched, old = [await store_blob(store, b"%d" % n, _content(size)) for n in range(3)]
        between = self.pass_time()
        await store_blob(store, b"0", _content(size))
        done = [
            store.touch(touched),
            store.delete(again, between),
            store.delete(touched, between),
            store.delete(old, between),
            store.delete(old, between),
        ]
        assert await gatherResults(done) == [None, False, False, True, False]
        assert sorted(await store.older_than(self.now() + 60)) == sorted([again, touched])
        assert await store.delete(again) is True
        assert await store.delete(again) is False
        assert await store.delete(touched, self.now() + 60) is True

    @pytest.mark.parametrize("size", [10, 3_000_000])
    @ensureDeferred
    async def test_committing_again_makes_young_again(self, store, size):
        blob = await store_blob(store, _content(size))
        other = await store_blob(store, b"other")
        between = self.pass_time()
        assert sorted(await store.older_than(between)) == sorted([blob, other])
        await store_blob(store, _content(size))
        assert await store.older_than(between) == [other]

    @ensureDeferred
    async def test_concurrent_commits(self, store):
        contents = [_content(i * 997) + b"%d" % i for i in range(200)] * 2
        writers = []
        for content in contents:
            writer = store.open_writer()
            writer.write(content)
            writers.append(writer)
        ids = await gatherResults([writer.commit() for writer in writers])
        assert ids[:200] == ids[200:]
        assert len(set(ids)) == 200
        for blob, content in zip(ids, contents[:200], strict=False):
            assert await store.read(blob) == content
        assert sorted(await store.older_than(self.now() + 60)) == sorted(set(ids))

    @ensureDeferred
    async def test_interleaved_writers(self, store):
        writers = [store.open_writer() for _ in range(10)]
        for chunk in range(50):
            for number, writer in enumerate(writers):
                writer.write(b"%d:%d " % (number, chunk) * 1000)
        writers[3].abort()
        for number, writer in enumerate(writers):
            if number != 3:
                expected = b"".join(b"%d:%d " % (number, chunk) * 1000 for chunk in range(50))
                blob = await writer.commit()
                assert await store.read(blob) == expected


def _content(size: int) -> bytes:
    """Octets that look the same at no two offsets close to each other."""
    numbers = b"".join(b"%d," % i for i in range(min(size // 2 + 1, 20_000)))
    return (numbers * (size // len(numbers) + 1))[:size] if size else b""

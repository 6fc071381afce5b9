"""The blob store of a worker that is not the office, on real connections."""

import pytest
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from mailhive.blobs.fs import FsBlobStore
from mailhive.errors import BlobNotFound
from mailhive.testing.conformance.blobs import BlobStoreConformance, store_blob


class Both:
    def __init__(self, root, hall):
        self.root, self.hall = root, hall
        self.office = self.other = None

    def start(self, index):
        peers = self.hall.peers(index)
        store = FsBlobStore(self.root, reactor, deferToThread, largest_packed=200_000, peers=peers)
        peers.startService()
        store.startService()
        setattr(self, ("office", "other")[index], store)

    async def stop(self, index):
        store = (self.office, self.other)[index]
        await store.stopService()
        await self.hall.end(store._peers)


@async_yield_fixture
async def both(tmp_path, hall):
    pair = Both(tmp_path / "blobs", hall())
    pair.start(0)
    pair.start(1)
    yield pair
    await pair.stop(1)
    await pair.stop(0)


class TestRemote(BlobStoreConformance):
    @pytest.fixture
    def store(self, both):
        return both.other


@ensureDeferred
async def test_what_one_stores_the_other_reads(both):
    bodies = [bytes([n]) * size for n, size in enumerate((0, 10, 150_000, 300_000, 3_000_000))]
    for here, there in ((both.other, both.office), (both.office, both.other)):
        ids = await gatherResults(
            [Deferred.fromCoroutine(store_blob(here, body + b"x")) for body in bodies]
        )
        assert [await there.read(blob_id) for blob_id in ids] == [body + b"x" for body in bodies]
        assert list((both.root / "tmp").iterdir()) == []


@ensureDeferred
async def test_the_office_knows_of_holds_in_which_something_is_stored(both):
    other, office = both.other, both.office
    with other.hold():
        assert office.horizon(0) > other._holds.oldest  # nothing was stored in it
        blob_id = await store_blob(other, b"held")
        assert office.horizon(0) <= other._holds.oldest
        with other.hold():
            await other.touch(blob_id)
        begun = other._holds.oldest
    later = reactor.seconds()
    while office.horizon(0) < later:
        await other.size(blob_id)
        await store_blob(other, b"something else")
    assert begun < later
    assert await office.delete(blob_id, office.horizon(0))
    with pytest.raises(BlobNotFound):
        await other.read(blob_id)


@ensureDeferred
async def test_another_office_learns_of_holds_and_the_index_it_made_is_read(both):
    with both.other.hold():
        blob_id = await store_blob(both.other, b"held")
        begun = both.other._holds.oldest
        await both.stop(0)
        while both.other._peers._others[0]._is_there:
            await deferLater(reactor, 0.01)
        assert await both.other.read(blob_id) == b"held"
        for path in both.root.glob("index.sqlite*"):
            path.unlink()
        both.start(0)
        await store_blob(both.other, b"another")  # which waits for the office
        assert both.office.horizon(0) == begun
        fresh = await store_blob(both.office, b"fresh")
        assert await both.other.read(fresh) == b"fresh"

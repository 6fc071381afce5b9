"""The outbox of the office, used by another worker, on real connections."""

from typing import Any

import pytest
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailhive.queue.outbox import Outbox
from mailhive.queue.remote import Desk, RemoteOutbox
from mailhive.queue.schedule import JITTER, PAUSES
from mailhive.testing.conformance.outbox import Notes, OutboxConformance, Way, message, until


class Place:
    """An office and another worker; either may end."""

    def __init__(self, hall: Any, path: Any, clock: Any) -> None:
        self.hall, self.path, self.clock = hall, path, clock
        self.peers: dict[int, Any] = {}
        self.outbox: Any = None
        self.remote: Any = None

    def start_office(self, way: Way, notes: Notes) -> None:
        peers = self.peers[0] = self.hall.peers(0)
        self.outbox = Outbox(self.path, notes, reactor, self.clock)
        self.outbox.is_taken_over = Desk(peers, reactor, self.outbox).is_taken_over
        self.outbox.add_transport(way)
        peers.startService()
        self.outbox.startService()

    def start_other(self) -> RemoteOutbox:
        peers = self.peers[1] = self.hall.peers(1)
        self.remote = RemoteOutbox(peers)
        peers.startService()
        return self.remote

    async def end(self, index: int) -> None:
        if index == 0:
            # Nothing more is written: its thread has no file any more.
            self.outbox.running = False
            await self.outbox._file.close()
        await self.hall.end(self.peers.pop(index))
        for other in self.peers.values():
            await until(lambda o=other: not o._others[index]._is_there)


@async_yield_fixture
async def place(tmp_path, hall):
    place = Place(hall(), tmp_path / "outbox.sqlite", Clock())
    yield place
    for index in sorted(place.peers, reverse=True):
        if index == 0:
            await place.outbox.stopService()
        await place.hall.end(place.peers.pop(index))


class TestRemoteOutbox(OutboxConformance):
    @pytest.fixture
    def start(self, request, place):
        request.instance.place = place

        async def start(way, notes):
            place.start_office(way, notes)
            return place.start_other()

        return start

    async def crash(self, outbox):
        await self.place.end(0)  # before it settles what the other one has held
        await self.place.end(1)

    def pass_time(self):
        self.place.clock.advance(PAUSES[-1] * (1 + JITTER))


@ensureDeferred
async def test_what_a_worker_holds_when_it_ends_is_settled_by_the_record(place):
    way, notes = Way(), Notes()
    place.start_office(way, notes)
    outbox = place.start_other()
    wanted, unwanted = message(), message()
    notes.wanted = {wanted.id: True, unwanted.id: False}
    for one in (wanted, unwanted):
        await outbox.submit(one, held=True)
    await place.end(1)
    await until(lambda: notes.told)
    while await place.outbox.status(unwanted.id) is not None:
        pass
    assert [recipient for recipient, _ in way.handed] == ["bob@near.example"]
    assert notes.asked == [(wanted.id, True), (unwanted.id, True)] or notes.asked == [
        (unwanted.id, True),
        (wanted.id, True),
    ]


@ensureDeferred
async def test_what_a_worker_holds_when_the_office_ends_stays_held(place):
    way, notes = Way(), Notes()
    place.start_office(way, notes)
    outbox = place.start_other()
    held, canceled = message(), message()
    for one in (held, canceled):
        await outbox.submit(one, held=True)
    await place.end(0)
    place.start_office(way, notes)
    while place.outbox._claims._claims.keys() != {held.id, canceled.id}:
        await outbox.status(held.id)
    assert (await outbox.status(held.id)).is_new
    await outbox.cancel(canceled.id)
    await outbox.release(held.id)
    await until(lambda: notes.told)
    assert await outbox.status(canceled.id) is None
    assert notes.asked == []
    assert len(way.handed) == 1

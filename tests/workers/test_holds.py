"""Messages that a worker holds in the outbox while offices come and go."""

from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from mailhive.queue.outbox import Outbox
from mailhive.queue.remote import Desk, RemoteOutbox
from mailhive.testing.conformance.outbox import Notes, Way, message, turn, until


def start_office(peers, path, way, notes):
    outbox = Outbox(path, notes, reactor)
    outbox.is_taken_over = Desk(peers, reactor, outbox).is_taken_over
    outbox.add_transport(way)
    peers.startService()
    outbox.startService()
    return outbox


@ensureDeferred
async def test_what_was_let_go_between_two_offices_is_not_asked_for(hall, tmp_path):
    """The hold has ended before the new office hears what is held."""
    place, way, notes = hall(), Way(), Notes()
    path = tmp_path / "outbox.sqlite"
    office = place.peers(0)
    first = start_office(office, path, way, notes)
    other = place.peers(1)
    remote = RemoteOutbox(other)
    other.startService()
    sent, canceled = message(), message()
    for one in (sent, canceled):
        await remote.submit(one, held=True)
    first.running = False
    await first._file.close()
    await place.end(office)
    await until(lambda: not other._others[0]._is_there)
    ended = remote.release(sent.id), remote.cancel(canceled.id)
    second = start_office(place.peers(0), path, way, notes)
    for each in ended:
        await each
    await until(lambda: notes.told)
    while second._claims._claims:
        await turn()
    assert notes.asked == []
    assert len(way.handed) == 1
    assert await second.status(canceled.id) is None
    await second.stopService()

"""Workers that all are in this process, on real sockets."""

import pytest
from pytest_twisted import async_yield_fixture
from twisted.internet import reactor

from mailhive.workers.peers import Peers


class Hall:
    """Starts peers, and ends them as a crash would."""

    def __init__(self, directory, count):
        self.directory = directory
        self.count = count
        self.running = []

    def peers(self, index):
        peers = Peers(index, self.count, self.directory, reactor)
        self.running.append(peers)
        return peers

    async def end(self, peers):
        """As the end of a process does it: every connection goes."""
        self.running.remove(peers)
        await peers.stopService()


@async_yield_fixture
async def hall(tmp_path):
    halls = []

    def hall(count=2):
        halls.append(Hall(tmp_path, count))
        return halls[-1]

    yield hall
    for one in halls:
        for peers in list(one.running):
            if peers.running:
                await one.end(peers)


@pytest.fixture
def pair(hall):
    """Two of two, started."""
    place = hall()
    both = place.peers(0), place.peers(1)
    for peers in both:
        peers.startService()
    return both

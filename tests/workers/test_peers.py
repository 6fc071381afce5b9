"""Calls from worker to worker, and what becomes of them when one ends."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from mailhive.errors import NotFound, TemporaryFailure
from mailhive.workers import peers as module


async def until(condition):
    while not condition():
        await deferLater(reactor, 0.01)


@ensureDeferred
async def test_calls_are_answered(pair):
    office, other = pair
    office.serve("sum", lambda caller, a, b: (caller.index, a + b))
    other.serve("later", lambda caller, n: deferLater(reactor, 0.01, lambda: n * 2))
    assert await other.call(0, "sum", 1, 2) == (1, 3)
    assert await gatherResults([office.call(1, "later", n) for n in range(50)]) == [
        n * 2 for n in range(50)
    ]
    large = b"x" * 5_000_000
    assert await other.call(0, "sum", large, large) == (1, large + large)


@ensureDeferred
async def test_what_a_call_raises_is_raised(pair):
    office, other = pair

    def refuse(caller):
        raise NotFound("not here")

    office.serve("refuse", refuse)
    office.serve("unsendable", lambda caller: lambda: None)
    with pytest.raises(NotFound, match="not here"):
        await other.call(0, "refuse")
    with pytest.raises(Exception, match="pickle"):
        await other.call(0, "unsendable")
    with pytest.raises(Exception, match="pickle"):
        await other.call(0, "refuse", lambda: None)


class Odd(Exception):
    """Can be pickled, and does not come out of it."""

    def __init__(self, first, second):
        super().__init__(first)


@ensureDeferred
async def test_an_error_that_cannot_be_raised_again_breaks_nothing(pair):
    office, other = pair

    def refuse(caller):
        error = NotFound("not here")
        error.cause = Odd(1, 2)
        raise error

    never = Deferred()
    office.serve("refuse", refuse)
    office.serve("wait", lambda caller: never)
    waiting = other.call(0, "wait")
    with pytest.raises(RuntimeError, match="NotFound: not here"):
        await other.call(0, "refuse")
    never.callback("still here")
    assert await waiting == "still here"


@ensureDeferred
async def test_all_others_are_told(hall):
    place = hall(3)
    heard = []
    joined = []
    everybody = [place.peers(index) for index in range(3)]
    for peers in everybody:
        peers.serve("news", lambda caller, what, me=peers: heard.append((caller.index, me.index)))
        peers.on_join(lambda index, me=peers: joined.append((me.index, index)))
        peers.startService()
    await until(lambda: len(joined) == 6)
    everybody[1].tell("news", "x")
    await until(lambda: len(heard) == 2)
    assert sorted(heard) == [(1, 0), (1, 2)]


@ensureDeferred
async def test_a_call_waits_for_the_replacement_of_a_worker(hall):
    place = hall()
    office, other = place.peers(0), place.peers(1)
    office.startService()
    joined = []
    office.on_join(joined.append)
    early = office.call(1, "name")
    other.serve("name", lambda caller: "first")
    never = Deferred()
    other.serve("never", lambda caller: never)
    other.startService()
    assert await early == "first"
    unanswered = office.call(1, "never")
    gone = []
    other.serve("watch", lambda caller: caller.gone.addCallback(lambda _: gone.append(1)) and None)
    await office.call(1, "watch")
    await place.end(other)
    with pytest.raises(TemporaryFailure):
        await unanswered
    asked = office.call(1, "name")
    replacement = place.peers(1)
    replacement.serve("name", lambda caller: "second")
    replacement.startService()
    assert await asked == "second"
    await until(lambda: len(joined) == 2)
    assert gone == [1]


@ensureDeferred
async def test_patience_has_an_end(hall, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    office = hall().peers(0)
    office.startService()
    with pytest.raises(TemporaryFailure):
        await office.call(1, "name")


@ensureDeferred
async def test_every_worker_names_the_same_owner(hall):
    place = hall(3)
    everybody = [place.peers(index) for index in range(3)]
    for name in ("a1", "a2", "abcdefghij"):
        assert len({peers.owner(name) for peers in everybody}) == 1
    assert {everybody[0].owner(f"a{n}") for n in range(100)} == {0, 1, 2}


@ensureDeferred
async def test_all_is_told_to_those_who_joined(hall):
    """Who looked for news when it joined is told of all that comes after."""
    place, heard = hall(), []
    office, other = place.peers(0), place.peers(1)
    other.serve("news", lambda caller, what: heard.append(what))
    other.on_join(lambda _: office.tell("news", "at once"))
    for peers in (office, other):
        peers.startService()
    await until(lambda: heard)
    assert heard == ["at once"]

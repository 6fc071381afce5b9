"""Greylisting: who is put off, who is let in, and what is remembered of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailhive.config.greylist import GreylistSettings
from mailhive.config.units import Duration
from mailhive.model.networks import Networks, parse_address
from mailhive.smtp.checks import Visit
from mailhive.smtp.greylist.check import Greylist
from mailhive.smtp.greylist.ledger import Ledger
from mailhive.sqlite.connection import Connection

DEFAULT = GreylistSettings()
HOUR, DAY = 3_600, 86_400
Tries = Callable[..., bool]


@pytest.fixture
def new_ledger(tmp_path: Path) -> Iterator[Callable[..., Ledger]]:
    connections: list[Connection] = []

    def new(chosen: GreylistSettings = DEFAULT, most: int = 100_000) -> Ledger:
        connections.append(Connection(tmp_path / f"{len(connections)}.sqlite"))
        ledger = Ledger.open(connections[-1], chosen)
        ledger.most = most
        return ledger

    yield new
    for connection in connections:
        connection.close()


def test_strangers_come_back(new_ledger: Callable[..., Ledger]) -> None:
    lets_in = partial(new_ledger().lets_in, "192.0.2.0/24", "a@x", "b@y")
    assert not lets_in(now=1_000)
    assert not lets_in(now=1_299)
    assert lets_in(now=1_300)
    assert lets_in(now=1_301)


def test_each_part_counts(new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger()
    assert not ledger.lets_in("n", "a@x", "b@y", 0)
    assert not ledger.lets_in("m", "a@x", "b@y", HOUR)
    assert not ledger.lets_in("n", "b@x", "b@y", HOUR)
    assert not ledger.lets_in("n", "a@x", "c@y", HOUR)
    assert not ledger.lets_in("na@x", "", "b@y", HOUR)
    assert ledger.lets_in("n", "a@x", "b@y", HOUR)


def test_who_is_late_is_a_stranger(new_ledger: Callable[..., Ledger]) -> None:
    lets_in = partial(new_ledger().lets_in, "n", "a@x", "b@y")
    assert not lets_in(0)
    assert not lets_in(DAY)
    assert lets_in(DAY + 300)
    assert lets_in(30 * DAY)  # and is known from then on
    assert lets_in(65 * DAY)
    assert not lets_in(102 * DAY)


def test_networks_are_trusted(new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger(evolve(DEFAULT, trust_after=2))
    for sender in ("a@x", "b@x"):
        assert not ledger.lets_in("n", sender, "c@y", 0)
        assert not ledger.lets_in("m", sender, "c@y", 0)
    assert all(ledger.lets_in("n", sender, "c@y", 300) for sender in ("a@x", "a@x", "b@x"))
    assert ledger.lets_in("n", "stranger@x", "c@y", 301)
    assert not ledger.lets_in("m", "stranger@x", "c@y", 301)
    assert not ledger.lets_in("n", "stranger@x", "c@y", 40 * DAY)
    cautious = new_ledger(evolve(DEFAULT, trust_after=0))
    for number in range(9):
        assert not cautious.lets_in("n", f"{number}@x", "c@y", 0)
        assert cautious.lets_in("n", f"{number}@x", "c@y", 300)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2 * HOUR), st.sampled_from("abc")), max_size=30))
def test_cleaning_changes_no_answer(
    new_ledger: Callable[..., Ledger], steps: list[tuple[int, str]]
) -> None:
    chosen = evolve(DEFAULT, retry_within=Duration(HOUR), life=Duration(2 * HOUR), trust_after=3)
    cleaned, kept = new_ledger(chosen), new_ledger(chosen)
    now = 0
    for pause, sender in steps:
        now += pause
        cleaned.clean(now)
        assert cleaned.lets_in("n", sender, "r", now) == kept.lets_in("n", sender, "r", now)


def test_the_file_is_bounded(new_ledger: Callable[..., Ledger]) -> None:
    ledger = new_ledger(most=100)
    assert not ledger.lets_in("n", "known@x", "r", 0)
    assert ledger.lets_in("n", "known@x", "r", 300)
    for number in range(1_500):
        ledger.lets_in(str(number), "a@x", "r", 400)
    while ledger.clean(401):
        pass
    assert ledger.connection.value("SELECT count(*) FROM triplet") == 100
    assert ledger.lets_in("n", "known@x", "r", 402)
    while ledger.clean(100 * DAY):
        pass
    assert ledger.connection.value("SELECT count(*) FROM triplet") == 0
    assert ledger.connection.value("SELECT count(*) FROM network") == 0


@async_yield_fixture
async def new_greylist(tmp_path: Path) -> AsyncIterator[Callable[..., Greylist]]:
    made: list[Greylist] = []

    def new(**chosen: Any) -> Greylist:
        greylist = Greylist(tmp_path / "greylist.sqlite", GreylistSettings(**chosen), reactor)
        greylist.startService()
        made.append(greylist)
        return greylist

    yield new
    for greylist in made:
        if greylist.running:
            await greylist.stopService()


async def said(greylist: Greylist, peer: str, recipient: str = "b@y", **known: Any) -> Any:
    """What a client is told; None lets it in."""
    visit = Visit("mx", "c", peer)
    check = greylist.check(visit, Networks.parse(["10.0.0.0/8"]))
    for name, value in known.items():
        setattr(visit, name, value)
    if check is None:
        return None
    assert await check.sender("A@x", {}) is None
    reply = await check.recipient(recipient)
    return None if reply is None else str(reply)


PUT_OFF = "451 4.7.1 Greylisted, please try again later"


@ensureDeferred
async def test_who_is_put_off(new_greylist: Callable[..., Greylist]) -> None:
    greylist = new_greylist(exempt=Networks.parse(["198.51.100.7"]), exempt_names=("Good.example",))
    assert await said(greylist, "192.0.2.1") == PUT_OFF
    assert await said(greylist, "192.0.2.1", name="mx.bad.example") == PUT_OFF
    assert await said(greylist, "192.0.2.1", name="notgood.example") == PUT_OFF
    for name in ("good.example", "mx.GOOD.example."):
        assert await said(greylist, "192.0.2.1", name=name) is None
    assert await said(greylist, "192.0.2.1", is_welcome=True) is None
    for peer in ("", "10.1.2.3", "::ffff:10.1.2.3", "198.51.100.7"):
        assert await said(greylist, peer) is None


@ensureDeferred
async def test_networks_stand_together_and_are_remembered(
    new_greylist: Callable[..., Greylist], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    clock.advance(1_700_000_000)
    greylist = new_greylist()
    monkeypatch.setattr(greylist, "reactor", clock)
    for peer in ("192.0.2.1", "2001:db8::1"):
        assert await said(greylist, peer) == PUT_OFF
    clock.advance(300)
    assert await said(greylist, "192.0.2.250", "B@Y") is None
    await greylist.stopService()
    greylist = new_greylist()
    monkeypatch.setattr(greylist, "reactor", clock)
    assert await said(greylist, "192.0.2.9") is None
    assert await said(greylist, "2001:db8::ffff") is None
    assert await said(greylist, "2001:db8:0:1::1") == PUT_OFF


@ensureDeferred
async def test_a_file_that_fails_puts_nobody_off(new_greylist: Callable[..., Greylist]) -> None:
    greylist = new_greylist()
    await greylist.stopService()
    address = parse_address("192.0.2.1")
    assert address is not None
    assert await greylist.lets_in(address, "a@x", "b@y")

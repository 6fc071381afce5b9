"""Messages to several destinations, later, and what senders are told."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import Factory, define, evolve
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.config.relay import QueueSettings
from mailhive.config.units import Duration
from mailhive.errors import TemporaryFailure
from mailhive.model.envelope import Envelope
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.model.rates import Rate
from mailhive.queue.ledger import SCHEMA, Report
from mailhive.queue.outbox import Outbox
from mailhive.queue.schedule import PAUSES
from mailhive.sqlite.connection import Connection
from mailhive.testing.conformance.outbox import Notes, Way, message, turn, until


@define(eq=False)
class Slow(Way):
    """Destinations with a gate of their own wait for it."""

    gates: dict[str, Deferred[None]] = Factory(dict)
    under_way: int = 0
    most: int = 0

    async def _deliver(self, envelope: Envelope, blob_id: str) -> Any:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        gate = self.gates.get(envelope.recipients[0].partition("@")[2])
        if gate is not None:
            waiting: Deferred[None] = Deferred()
            gate.addCallback(lambda _: waiting.callback(None))
            await waiting
        self.under_way -= 1
        return await super()._deliver(envelope, blob_id)


@define(eq=False)
class Letters:
    """A reporter that writes down what it is to tell."""

    told: list[tuple[str, list[Report]]] = Factory(list)
    fails: int = 0

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def notification(self, about: OutboundMessage, reports: Any, now: int, _: float) -> Any:
        if self.fails:
            self.fails -= 1
            raise TemporaryFailure("The disk is full")
        self.told.append((about.envelope.mail_from, list(reports)))
        return OutboundMessage(random_id("d"), Envelope("", ("alice@near.example",)), "bdsn", now)


@define(eq=False)
class Set:
    clock: Clock
    way: Any
    notes: Notes
    letters: Letters
    outbox: Outbox

    async def rest(self) -> None:
        """Wait until the outbox waits for the clock."""
        await until(lambda: not self.outbox._work)


@pytest_twisted.async_yield_fixture
async def start(tmp_path: Path) -> AsyncIterator[Any]:
    started: list[Outbox] = []

    def start(way: Any, clock: Clock | None = None) -> Set:
        made = Set(clock or Clock(), way, Notes(), Letters(), None)  # type: ignore[arg-type]
        made.outbox = Outbox(
            tmp_path / "outbox.sqlite",
            made.notes,
            reactor,
            made.clock,
            settings=QueueSettings(concurrency=10, warn_after=Duration(7200.0)),
            reporter=made.letters,
        )
        made.outbox.add_transport(way)
        made.outbox.startService()
        started.append(made.outbox)
        return made

    yield start
    for outbox in started:
        if outbox.running:
            await outbox.stopService()


@ensureDeferred
async def test_a_slow_destination_holds_up_nobody_else(start: Any) -> None:
    gate: Deferred[None] = Deferred()
    it = start(Slow(at_once=3, gates={"slow.near.example": gate}))
    for _ in range(20):
        await it.outbox.submit(message("x@slow.near.example"))
    both = message("y@slow.near.example", "y@near.example")
    await it.outbox.submit(both)
    await it.outbox.submit(message("z@other.near.example"))
    await until(lambda: len(it.way.handed) == 2)
    assert it.way.under_way == 3
    assert {address for address, _ in it.way.handed} == {"y@near.example", "z@other.near.example"}
    gate.callback(None)
    await until(lambda: len(it.way.handed) == 23)
    assert it.way.most <= 5


@ensureDeferred
async def test_a_destination_has_its_pace(start: Any) -> None:
    it = start(Slow(rate=Rate(2, 60.0)))
    for _ in range(30):
        await it.outbox.submit(message("x@slow.near.example"))
    await it.outbox.submit(message("y@near.example"))
    await until(lambda: len(it.way.handed) == 3)
    assert "y@near.example" in [address for address, _ in it.way.handed]
    for handed in range(4, 8):
        await it.rest()
        it.clock.advance(29)
        await it.outbox.status("")
        assert len(it.way.handed) == handed - 1
        await it.rest()
        it.clock.advance(1.001)
        await until(lambda handed=handed: len(it.way.handed) == handed)


@ensureDeferred
async def test_what_is_told_is_the_newest(start: Any) -> None:
    it = start(Way())
    sent = message(*(f"x@{i}.near.example" for i in range(20)))
    await it.outbox.submit(sent)
    while await it.outbox.status(sent.id) is not None:
        await turn()
    assert {delivered for delivered, _ in it.notes.last().values()} == {"yes"}
    counts = [sum(r.delivered == "yes" for r in status.recipients) for status in it.notes.told]
    assert counts == sorted(counts)


@ensureDeferred
async def test_a_message_waits_for_its_time(start: Any) -> None:
    it = start(Way())
    later = evolve(message(), send_at=60_000)
    held = evolve(message(), send_at=60_000)
    await it.outbox.submit(later)
    await it.outbox.submit(held, held=True)
    await it.outbox.release(held.id)
    it.clock.advance(59)
    await it.outbox.status("")
    assert not it.way.handed
    await it.rest()
    it.clock.advance(2)
    await until(lambda: len(it.way.handed) == 2)


@ensureDeferred
async def test_what_waits_can_be_tried_now(start: Any) -> None:
    it = start(Way(replies={"bob@near.example": [450]}))
    sent = message()
    await it.outbox.submit(sent)
    await until(it.notes.has_all)
    await it.outbox.expedite(sent.id)
    await until(lambda: it.way.handed)
    await it.outbox.expedite("unknown")


@ensureDeferred
async def test_a_refusal_is_told_to_the_sender(start: Any) -> None:
    it = start(Way(replies={"bob@near.example": [550], "eve@near.example": [551]}))
    sent = message("bob@near.example", "eve@near.example", "zoe@near.example")
    it.letters.fails = 1
    await it.outbox.submit(sent)
    await until(lambda: it.letters.fails == 0)
    it.clock.advance(30)
    await until(lambda: ("alice@near.example", "bdsn") in it.way.handed)
    ((sender, reports),) = it.letters.told
    assert sender == "alice@example.org"
    assert [(r.address, r.action, r.reply) for r in reports] == [
        ("bob@near.example", "failed", "550 5.0.0 Said so"),
        ("eve@near.example", "failed", "551 5.0.0 Said so"),
    ]
    while await it.outbox.status(sent.id) is not None:
        await turn()


@ensureDeferred
async def test_nobody_is_told_of_what_nobody_sent(start: Any) -> None:
    it = start(Way(replies={"bob@near.example": [550]}))
    sent = evolve(message(), envelope=Envelope("", ("bob@near.example",)))
    await it.outbox.submit(sent)
    while await it.outbox.status(sent.id) is not None:
        await turn()
    assert not it.letters.told


@ensureDeferred
async def test_a_delay_is_told_once(start: Any) -> None:
    it = start(Way(replies={"bob@near.example": [450] * 50}))
    await it.outbox.submit(message())
    for _ in range(12):
        tries = it.way.tries
        await it.rest()
        it.clock.advance(PAUSES[-1] * 2)
        await until(lambda: it.way.tries > tries)  # noqa: B023
    assert [[r.action for r in reports] for _, reports in it.letters.told] == [["delayed"]]


@ensureDeferred
async def test_what_was_not_told_is_told_after_a_restart(start: Any) -> None:
    it = start(Way(replies={"bob@near.example": [550]}))
    it.letters.fails = 1000
    await it.outbox.submit(message(account_id=None))
    await until(lambda: it.letters.fails < 1000)
    await it.outbox.stopService()
    it = start(Way())
    await until(lambda: it.letters.told)
    await until(lambda: it.way.handed)


@ensureDeferred
async def test_a_file_of_version_1_goes_on(start: Any, tmp_path: Path) -> None:
    connection = Connection(tmp_path / "outbox.sqlite")
    evolve(SCHEMA, migrations=SCHEMA.migrations[:1]).apply(connection)
    for number, (state, due) in enumerate((("ready", 5), ("ready", None), ("new", None))):
        connection.execute(
            "INSERT INTO message VALUES (?, ?, 'a@x', '{}', 'b', 0, ?, 2, ?, 0)",
            (f"S{number}", "a1" if state == "new" else None, state, due),
        )
        connection.execute(
            "INSERT INTO recipient VALUES (?, 0, ?, 'queued', '250 2.0.0 Ok')",
            (f"S{number}", f"{number}@near.example"),
        )
    connection.close()
    it = start(Way(), Clock())
    it.clock.advance(1)
    await until(lambda: len(it.way.handed) == 2)
    assert sorted(address for address, _ in it.way.handed) == ["0@near.example", "1@near.example"]
    assert (await it.outbox.status("S2")).is_new

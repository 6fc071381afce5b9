"""The embedded outbox: the conformance suite, and what is its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import Factory, define, evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.config.relay import QueueSettings
from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.queue.handover import Handover
from mailhive.queue.outbox import Outbox
from mailhive.queue.schedule import JITTER, PAUSES
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import SchemaError
from mailhive.testing.conformance.outbox import Notes, OutboxConformance, Way, message, until


@define(eq=False)
class Broken(Way):
    is_broken: bool = True
    error: Exception = Factory(ZeroDivisionError)

    def deliver(self, envelope: Any, blob_id: str) -> Any:
        if self.is_broken:
            raise self.error
        return super().deliver(envelope, blob_id)


class TestOutbox(OutboxConformance):
    clock: Clock

    @pytest_twisted.async_yield_fixture
    async def start(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[Callable[..., Awaitable[Outbox]]]:
        clock = request.instance.clock = Clock()
        started: list[Outbox] = []

        async def start(way: Way, notes: Notes) -> Outbox:
            outbox = Outbox(tmp_path / "outbox.sqlite", notes, reactor, clock)
            outbox.add_transport(way)
            outbox.startService()
            started.append(outbox)
            return outbox

        yield start
        for outbox in started:
            if outbox.running:
                await outbox.stopService()

    async def crash(self, outbox: Outbox) -> None:
        """Nothing more is written: its thread has no file any more."""
        outbox.running = False
        await outbox._file.close()

    def pass_time(self) -> None:
        self.clock.advance(PAUSES[-1] * (1 + JITTER))

    @pytest_twisted.ensureDeferred
    async def test_pauses_grow_until_the_message_is_given_up(self, start: Any) -> None:
        way, notes = Way(replies={"bob@near.example": [450] * 1000}), Notes()
        outbox = await start(way, notes)
        await outbox.submit(message("bob@near.example", "zoe@far.example"))
        times: list[float] = []

        def is_settled() -> bool:
            return bool(notes.told) and all(d != "queued" for d, _ in notes.last().values())

        while not is_settled():
            tries = way.tries
            await until(
                lambda: way.tries > tries or self.clock.getDelayedCalls() or is_settled()  # noqa: B023
            )
            if way.tries > tries:
                times.append(self.clock.seconds())
            await until(lambda: not outbox._work)
            self.clock.advance(60)
        pauses = [later - before for before, later in pairwise(times)]
        wanted = [*PAUSES, *[PAUSES[-1]] * len(pauses)][: len(pauses)]
        for pause, about in zip(pauses, wanted, strict=True):
            assert about * (1 - JITTER) <= pause <= about * (1 + JITTER) + 60
        assert times[-1] > QueueSettings().life >= times[-2]
        delivered, reply = notes.last()["bob@near.example"]
        assert delivered == "no"
        assert reply == "550 5.4.7 Given up after 5 days: 450 4.0.0 Said so"
        assert notes.last()["zoe@far.example"][1].startswith("550 5.4.7 Given up after 5 days: 451")

    @pytest_twisted.ensureDeferred
    async def test_a_broken_transport_does_not_lose_the_message(self, start: Any) -> None:
        way, notes = Broken(), Notes()
        outbox = await start(way, notes)
        await outbox.submit(message())
        await until(lambda: notes.told)
        assert notes.last()["bob@near.example"][0] == "queued"
        assert notes.last()["bob@near.example"][1].startswith("451 4.3.0 ")
        way.is_broken = False
        await self.in_time(outbox, lambda: way.handed)

    @pytest_twisted.ensureDeferred
    async def test_many_messages_go_a_few_at_a_time(self, start: Any) -> None:
        way, notes = Way(gate=Deferred()), Notes()
        outbox = await start(way, notes)
        for _ in range(50):
            await outbox.submit(message())
        await until(lambda: way.tries == 20)
        assert len(outbox._attempts) == 20
        assert way.gate is not None
        way.gate.callback(None)
        way.gate = None
        await until(lambda: len(notes.told) == 50)
        assert len(way.handed) == 50

    @pytest_twisted.ensureDeferred
    async def test_a_clock_that_was_put_back(self, start: Any) -> None:
        """What waits goes on, except what is to go at a time of its own."""
        self.clock.advance(1e9)
        way = Way(replies={"bob@near.example": [450] * 10})
        outbox = await start(way, Notes())
        later = evolve(message("zoe@near.example"), send_at=1_500_000_000_000)
        await outbox.submit(evolve(message(), submitted_at=1_000_000_000_000))
        await outbox.submit(later)
        await until(lambda: way.tries == 1 and not outbox._work)
        await outbox.stopService()
        self.clock.rightNow = 1e8
        outbox = await start(way, Notes())
        await self.in_time(outbox, lambda: way.tries == 2)
        assert not way.handed

    @pytest_twisted.ensureDeferred
    async def test_a_message_that_is_lost(self, start: Any) -> None:
        way, notes = Broken(error=BlobNotFound()), Notes()
        outbox = await start(way, notes)
        await outbox.submit(message())
        await until(lambda: notes.told)
        assert notes.last()["bob@near.example"] == ("no", "554 5.3.0 The message was lost")

    @pytest_twisted.ensureDeferred
    async def test_many_destinations_are_not_kept_in_mind(self, start: Any) -> None:
        handover = Handover([Way()])
        for number in range(10_100):
            await handover.ways([f"bob@{number}.near.example"])
        assert len(handover._known) < 10_000

    @pytest_twisted.ensureDeferred
    async def test_a_hold_does_not_wait_for_ever(self, start: Any) -> None:
        way = Way(gate=Deferred())
        outbox = await start(way, Notes())
        sent = message()
        await outbox.submit(sent)
        await until(lambda: way.tries)
        held = outbox.hold(sent.id)
        self.clock.advance(5)
        assert not await held
        assert way.gate is not None
        way.gate.callback(None)

    @pytest_twisted.ensureDeferred
    async def test_stopping_ends_an_attempt(self, start: Any, tmp_path: Path) -> None:
        way = Way(gate=Deferred())
        outbox = await start(way, Notes())
        sent = message()
        await outbox.submit(sent)
        await until(lambda: way.tries)
        await outbox.stopService()
        for refused in (outbox.submit(message()), outbox.status(sent.id), outbox.hold(sent.id)):
            with pytest.raises(TemporaryFailure):
                await refused
        way = Way()
        await start(way, Notes())
        await until(lambda: way.handed)

    @pytest_twisted.ensureDeferred
    async def test_a_message_stays_held_while_its_submission_cannot_be_asked(
        self, start: Any
    ) -> None:
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        sent = message()
        await outbox.submit(sent, held=True)
        await outbox.settle(sent.id)  # Notes does not know it: a bug
        assert (await outbox.status(sent.id)).is_new
        notes.wanted[sent.id] = True
        await self.in_time(outbox, lambda: way.handed)

    def test_a_foreign_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "outbox.sqlite"
        connection = Connection(path)
        connection.execute("CREATE TABLE t (x)")
        connection.close()
        with pytest.raises(SchemaError):
            Outbox(path, Notes(), reactor).startService()

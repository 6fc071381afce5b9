"""What every `IOutbox` does.

class TestMyOutbox(OutboxConformance):
    @pytest.fixture
    def start(self): ...    # start(way, notes): an outbox with that one transport, running
    async def crash(self, outbox): ...  # what it has is as a crash leaves it; start() goes on
    def pass_time(self): ...  # as long as a pause between attempts lasts
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from attrs import Factory, define
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailhive.errors import TemporaryFailure
from mailhive.interfaces.outbox import IOutbox, ISubmissions, ITransport
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage, OutboundStatus
from mailhive.model.rates import Rate

__all__ = ["Notes", "OutboxConformance", "Way", "message", "turn", "until"]

BLOB = "bexample"


@implementer(ITransport)
@define(eq=False)
class Way:
    """A transport to `near.example` and below.

    `replies` has codes to give, those after them are 250.  While `gate` is there, what
    is handed over waits for it.
    """

    relays: bool = False
    replies: dict[str, list[int]] = Factory(dict)
    gate: Deferred[None] | None = None
    handed: list[tuple[str, str]] = Factory(list)  # recipient and blob
    tries: int = 0
    is_down: bool = False
    at_once: int = 20
    rate: Rate | None = None

    def destination(self, address: str) -> Deferred[str | None]:
        if self.is_down:
            raise TemporaryFailure("No names today")
        domain = address.rpartition("@")[2]
        return succeed(domain if domain.endswith("near.example") else None)

    def deliver(self, envelope: Envelope, blob_id: str) -> Deferred[tuple[RecipientOutcome, ...]]:
        return Deferred.fromCoroutine(self._deliver(envelope, blob_id))

    async def _deliver(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        self.tries += 1
        if self.gate is not None:
            await self.gate
        outcomes = []
        for address in envelope.recipients:
            code = (self.replies.get(address) or [250]).pop(0)
            if code < 300:
                self.handed.append((address, blob_id))
            outcomes.append(RecipientOutcome(address, code, f"{code // 100}.0.0", "Said so"))
        return tuple(outcomes)


@implementer(ISubmissions)
@define(eq=False)
class Notes:
    """EmailSubmissions that remember what they were told; `fails` says how often not."""

    told: list[OutboundStatus] = Factory(list)
    wanted: dict[str, bool] = Factory(dict)
    asked: list[tuple[str, bool]] = Factory(list)  # id, and is it new?
    fails: int = 0

    async def tell(self, status: OutboundStatus) -> None:
        if self.fails:
            self.fails -= 1
            raise TemporaryFailure("Not now")
        self.told.append(status)

    async def is_wanted(self, status: OutboundStatus) -> bool:
        self.asked.append((status.message.id, status.is_new))
        return self.wanted[status.message.id]

    def has_all(self) -> bool:
        """Was something said of every recipient of the message told last?"""
        accepted = "250 2.0.0 Accepted"
        return bool(self.told) and not any(
            r.reply.startswith(accepted) for r in self.told[-1].recipients
        )

    def last(self) -> dict[str, tuple[str, str]]:
        """delivered and smtpReply by recipient."""
        return {r.address: (r.delivered, r.reply) for r in self.told[-1].recipients}


def message(*recipients: str, account_id: str | None = "a1", blob_id: str = BLOB) -> Any:
    """One that was submitted just now, or a long time ago by the clock of the outbox."""
    envelope = Envelope("alice@example.org", recipients or ("bob@near.example",))
    return OutboundMessage(random_id("S"), envelope, blob_id, 0, account_id)


async def turn() -> None:
    """Let others go on."""
    await deferToThread(time.sleep, 0.002)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that is going to be so."""
    while not condition():
        await turn()


class OutboxConformance(ABC):
    """Fixture `start` and methods `crash` and `pass_time`, as told above."""

    @abstractmethod
    async def crash(self, outbox: Any) -> None:
        """What it has is as a crash leaves it; `start` goes on."""

    @abstractmethod
    def pass_time(self) -> None:
        """As long as a pause between attempts lasts."""

    async def in_time(self, outbox: Any, condition: Callable[[], Any]) -> None:
        """Let pauses pass until something is so."""
        while not condition():
            self.pass_time()
            await outbox.status("")

    @ensureDeferred
    async def test_provides_the_interface(self, start):
        assert verifyObject(IOutbox, await start(Way(), Notes()))
        assert verifyObject(ITransport, Way()) and verifyObject(ISubmissions, Notes())

    @ensureDeferred
    async def test_a_message_is_handed_over_once_and_forgotten(self, start):
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        sent = message("bob@near.example", "eve@near.example", "bob@near.example")
        await outbox.submit(sent)
        await outbox.submit(sent)
        await until(lambda: notes.told)
        assert notes.last() == dict.fromkeys(
            ("bob@near.example", "eve@near.example"), ("yes", "250 2.0.0 Said so")
        )
        assert way.handed == [("bob@near.example", BLOB), ("eve@near.example", BLOB)]
        while await outbox.status(sent.id) is not None:
            await turn()
        assert await outbox.blob_ids("", "z", 10) in ([], ())

    @ensureDeferred
    async def test_what_another_host_has_is_not_known_to_have_come(self, start):
        notes = Notes()
        await (await start(Way(relays=True), notes)).submit(message())
        await until(lambda: notes.told)
        assert notes.last() == {"bob@near.example": ("unknown", "250 2.0.0 Said so")}

    @ensureDeferred
    async def test_nobody_is_told_of_a_message_without_an_account(self, start):
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        sent = message(account_id=None)
        await outbox.submit(sent)
        await until(lambda: way.handed)
        while await outbox.status(sent.id) is not None:
            await turn()
        assert not notes.told

    @ensureDeferred
    async def test_who_cannot_be_reached_waits(self, start):
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        sent = message("bob@near.example", "zoe@far.example")
        await outbox.submit(sent)
        await until(notes.has_all)
        assert notes.last()["bob@near.example"][0] == "yes"
        delivered, reply = notes.last()["zoe@far.example"]
        assert delivered == "queued" and reply.startswith("451 4.4.0 ")
        status = await outbox.status(sent.id)
        assert status == notes.told[-1]
        assert status.waiting == ("zoe@far.example",) and not status.can_be_undone
        assert list(await outbox.blob_ids("", "z", 10)) == [BLOB]
        assert not await outbox.hold(sent.id)

    @ensureDeferred
    async def test_a_recipient_is_tried_again_until_it_is_settled(self, start):
        way = Way(replies={"bob@near.example": [450, 451], "eve@near.example": [550]})
        notes = Notes()
        outbox = await start(way, notes)
        await outbox.submit(message("bob@near.example", "eve@near.example"))
        await until(lambda: notes.told)
        assert notes.last() == {
            "bob@near.example": ("queued", "450 4.0.0 Said so"),
            "eve@near.example": ("no", "550 5.0.0 Said so"),
        }
        await self.in_time(outbox, lambda: len(notes.told) == 2)
        assert notes.last()["bob@near.example"] == ("queued", "451 4.0.0 Said so")
        await self.in_time(outbox, lambda: len(notes.told) == 3)
        assert way.handed == [("bob@near.example", BLOB)]
        assert notes.last()["bob@near.example"][0] == "yes"

    @ensureDeferred
    async def test_not_knowing_the_way_is_no_end(self, start):
        way, notes = Way(is_down=True), Notes()
        outbox = await start(way, notes)
        await outbox.submit(message())
        await until(lambda: notes.told)
        assert notes.last() == {"bob@near.example": ("queued", "451 4.4.3 No names today")}
        way.is_down = False
        await self.in_time(outbox, lambda: way.handed)

    @ensureDeferred
    async def test_telling_is_repeated(self, start):
        way, notes = Way(), Notes(fails=2)
        outbox = await start(way, notes)
        sent = message()
        await outbox.submit(sent)
        await until(lambda: notes.fails == 1)
        assert await outbox.status(sent.id) is not None
        await self.in_time(outbox, lambda: notes.told)
        assert len(way.handed) == 1 and len(notes.told) == 1

    # Holding

    @ensureDeferred
    async def test_a_held_message_goes_nowhere(self, start):
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        sent, other = message(), message()
        await outbox.submit(sent, held=True)
        await outbox.submit(other)
        await until(lambda: notes.told)
        status = await outbox.status(sent.id)
        assert status.is_new and status.can_be_undone
        assert [status.message.id for status in notes.told] == [other.id]
        assert list(await outbox.blob_ids("", "z", 10)) == [BLOB]
        await outbox.release(sent.id)
        await until(lambda: len(notes.told) == 2)
        assert not notes.told[-1].is_new

    @ensureDeferred
    async def test_a_canceled_message_is_gone(self, start):
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        new, waiting = message(), message("zoe@far.example")
        await outbox.submit(new, held=True)
        await outbox.submit(waiting)
        await until(lambda: notes.told)
        await outbox.cancel(new.id)
        assert await outbox.hold(waiting.id)
        assert not (await outbox.status(waiting.id)).is_new
        await outbox.cancel(waiting.id)
        assert await outbox.status(new.id) is None and await outbox.status(waiting.id) is None
        assert not await outbox.hold(new.id) and not await outbox.hold("nope")
        assert not way.handed

    @ensureDeferred
    async def test_a_hold_waits_for_the_one_before(self, start):
        notes = Notes()
        outbox = await start(Way(), notes)
        sent = message("zoe@far.example")
        await outbox.submit(sent)
        await until(lambda: notes.told)
        assert await outbox.hold(sent.id)
        second = outbox.hold(sent.id)
        await outbox.release(sent.id)
        assert await second
        third = outbox.hold(sent.id)
        await outbox.cancel(sent.id)
        assert not await third

    @ensureDeferred
    async def test_a_hold_does_not_interrupt_an_attempt(self, start):
        gate: Deferred[None] = Deferred()
        way = Way(gate=gate)
        outbox = await start(way, Notes())
        sent = message()
        await outbox.submit(sent)
        await until(lambda: way.tries)
        too_late = outbox.hold(sent.id)
        gate.callback(None)
        assert not await too_late
        assert way.handed

    @ensureDeferred
    async def test_settling_goes_by_the_submission(self, start):
        notes = Notes()
        outbox = await start(Way(), notes)
        wanted, unwanted = message("zoe@far.example"), message("zoe@far.example")
        notes.wanted = {wanted.id: True, unwanted.id: False}
        for one in (wanted, unwanted):
            await outbox.submit(one, held=True)
            await outbox.settle(one.id)
        assert await outbox.status(unwanted.id) is None
        assert not (await outbox.status(wanted.id)).is_new

    # Crashes

    @ensureDeferred
    async def test_what_was_accepted_is_sent_after_a_crash(self, start):
        way = Way(gate=Deferred())
        outbox = await start(way, Notes())
        sent = message("bob@near.example", "zoe@far.example")
        await outbox.submit(sent)
        await until(lambda: way.tries)
        await self.crash(outbox)
        way, notes = Way(), Notes()
        await start(way, notes)
        await until(notes.has_all)
        assert way.handed == [("bob@near.example", BLOB)]

    @ensureDeferred
    async def test_what_is_settled_stays_settled_after_a_crash(self, start):
        way, notes = Way(replies={"eve@near.example": [450]}), Notes()
        outbox = await start(way, notes)
        sent = message("bob@near.example", "eve@near.example", "zoe@far.example")
        await outbox.submit(sent)
        await until(notes.has_all)
        before = await outbox.status(sent.id)
        await self.crash(outbox)
        way, notes = Way(), Notes()
        outbox = await start(way, notes)
        assert await outbox.status(sent.id) == before
        await self.in_time(outbox, lambda: way.handed)
        assert way.handed == [("eve@near.example", BLOB)]

    @ensureDeferred
    async def test_what_was_not_told_is_told_after_a_crash(self, start):
        way = Way()
        outbox = await start(way, Notes(fails=1000))
        await outbox.submit(message())
        await until(lambda: way.handed)
        await outbox.status("")  # after what became of it was noted
        await self.crash(outbox)
        way, notes = Way(), Notes()
        await start(way, notes)
        await until(lambda: notes.told)
        assert notes.last()["bob@near.example"][0] == "yes"

    @ensureDeferred
    async def test_held_messages_are_settled_after_a_crash(self, start):
        notes = Notes()
        outbox = await start(Way(), notes)
        names = ("new wanted", "new unwanted", "old wanted", "old unwanted")
        sent = {name: message("zoe@far.example") for name in names}
        for name, one in sent.items():
            await outbox.submit(one, held=name.startswith("new"))
            if name.startswith("old"):
                assert await outbox.hold(one.id)
        await self.crash(outbox)
        notes = Notes(wanted={one.id: " wanted" in name for name, one in sent.items()})
        way = Way()
        outbox = await start(way, notes)
        await until(lambda: len(notes.told) == 2 or len(notes.asked) == 4)
        assert sorted(notes.asked) == sorted((m.id, n[:3] == "new") for n, m in sent.items())
        for name, one in sent.items():
            while name.endswith(" unwanted") == (await outbox.status(one.id) is not None):
                await turn()
        await until(lambda: {status.message.id for status in notes.told} >= {sent["new wanted"].id})
        assert await outbox.hold(sent["old wanted"].id)

    @ensureDeferred
    async def test_what_no_account_has_goes_after_a_crash(self, start):
        outbox = await start(Way(), Notes())
        sent = message("bob@near.example", account_id=None)
        await outbox.submit(sent, held=True)
        await self.crash(outbox)
        way = Way()
        await start(way, Notes())
        await until(lambda: way.handed)
        assert way.handed == [("bob@near.example", BLOB)]

    @ensureDeferred
    async def test_blob_ids_come_in_pages(self, start):
        outbox = await start(Way(), Notes())
        for blob_id in ("ba", "bc", "bb", "bb", "bd"):
            await outbox.submit(message("zoe@far.example", blob_id=blob_id), held=True)
        assert list(await outbox.blob_ids("", "bc", 2)) == ["ba", "bb"]
        assert list(await outbox.blob_ids("bb", "bc", 2)) == ["bc"]
        assert list(await outbox.blob_ids("bd", "z", 2)) == []

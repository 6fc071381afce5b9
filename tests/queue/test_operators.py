"""What another process changes in the file of a running outbox."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.queue import outbox as module
from mailhive.queue.ledger import FILE, open_ledger
from mailhive.queue.outbox import Outbox
from mailhive.sqlite.connection import Connection
from mailhive.testing.conformance.outbox import Notes, Way, message, turn, until

BOTH = ("bob@near.example", "eve@other.near.example")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[..., Any]:
    """Calls a method of the ledger as another process would."""

    def call(method: str, *args: Any) -> Any:
        connection = Connection(tmp_path / FILE)
        try:
            return getattr(open_ledger(connection), method)(*args)
        finally:
            connection.close()

    return call


@pytest_twisted.async_yield_fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(module, "_WATCH", 0.02)
    started: list[Outbox] = []

    def start(way: Way, notes: Notes) -> Outbox:
        outbox = Outbox(tmp_path / FILE, notes, reactor, Clock())
        outbox.add_transport(way)
        outbox.startService()
        started.append(outbox)
        return outbox

    yield start
    for outbox in started:
        if outbox.running:
            await outbox.stopService()


@ensureDeferred
async def test_what_is_due_elsewhere_is_tried(start: Any, elsewhere: Any) -> None:
    way, notes = Way(replies={"bob@near.example": [450]}), Notes()
    outbox, sent = start(way, notes), message()
    await outbox.submit(sent)
    await until(notes.has_all)
    assert not way.handed
    elsewhere("expedite", sent.id, 0)
    await until(lambda: way.handed)


@ensureDeferred
async def test_what_is_canceled_elsewhere_is_told(start: Any, elsewhere: Any) -> None:
    way, notes = Way(replies={"bob@near.example": [450]}), Notes()
    outbox, sent, part = start(way, notes), message(), message(*BOTH)
    await outbox.submit(sent)
    await until(notes.has_all)
    assert elsewhere("revoke", sent.id) == ["bob@near.example"]
    await until(lambda: notes.told[-1].is_canceled)
    assert notes.last() == {"bob@near.example": ("no", "554 5.0.0 Canceled by an operator")}
    while await outbox.status(sent.id) is not None:
        await turn()
    # Nobody had that one; of this one, somebody has.
    way.replies["bob@near.example"] = [450]
    await outbox.submit(part)
    await until(lambda: notes.told[-1].has_left and notes.has_all())
    assert elsewhere("revoke", part.id) == ["bob@near.example"]
    await until(lambda: notes.last()["bob@near.example"][0] == "no")
    assert not notes.told[-1].is_canceled
    assert len(way.handed) == 1


@ensureDeferred
async def test_an_attempt_that_is_under_way_ends_first(start: Any, elsewhere: Any) -> None:
    gate: Deferred[None] = Deferred()
    way, notes = Way(gate=gate), Notes()
    outbox, sent, other = start(way, notes), message(), message("x@far.example")
    await outbox.submit(sent)
    await until(lambda: way.tries)
    assert elsewhere("revoke", sent.id) == ["bob@near.example"]
    await outbox.submit(other)
    await until(lambda: notes.told)
    assert elsewhere("revoke", other.id)
    await until(lambda: notes.told[-1].is_canceled)
    assert {status.message.id for status in notes.told} == {other.id}
    way.gate = None
    gate.callback(None)
    await until(lambda: notes.told[-1].message.id == sent.id)
    assert notes.last() == {"bob@near.example": ("yes", "250 2.0.0 Said so")}
    assert not notes.told[-1].is_canceled


@ensureDeferred
async def test_what_is_canceled_while_held_goes_nowhere(start: Any, elsewhere: Any) -> None:
    way, notes = Way(), Notes()
    outbox, sent = start(way, notes), message()
    await outbox.submit(sent, held=True)
    assert elsewhere("revoke", sent.id)
    assert not notes.told
    await outbox.release(sent.id)
    await until(lambda: notes.told)
    assert notes.told[-1].is_canceled and not way.handed


@ensureDeferred
async def test_what_is_canceled_without_the_daemon_is_told_at_the_start(
    start: Any, elsewhere: Any
) -> None:
    outbox, sent = start(Way(), Notes()), message("zoe@far.example")
    await outbox.submit(sent)
    await outbox.stopService()
    assert elsewhere("revoke", sent.id) == ["zoe@far.example"]
    notes = Notes()
    start(Way(), notes)
    await until(lambda: notes.told)
    assert notes.told[-1].is_canceled

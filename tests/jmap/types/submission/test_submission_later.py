"""Messages that are to be sent later, and those that are undone by then (RFC 8621 §7)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from mailhive.model.principal import Principal
from mailhive.model.utcdate import format_utc_date
from mailhive.testing.conformance.outbox import until
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import LOCAL, Sender, envelope

ALICE = Principal("alice", emails=("alice@example.org",))
BOB = Principal("bob", emails=("bob@example.org",))
START = 1_800_000_000  # seconds
QUEUED = {
    "smtpReply": "250 2.0.0 Accepted, on its way",
    "delivered": "queued",
    "displayed": "unknown",
}


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


@pytest_twisted.async_yield_fixture
async def stores(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalStores]:
    stores = LocalStores.start(tmp_path, reactor, clock)
    yield stores
    await stores.stop()
    assert stores.failures == []


async def both(stores: LocalStores) -> tuple[Sender, Sender]:
    return await Sender.of(stores, ALICE, delayed_send=60), await Sender.of(stores, BOB)


def held(**parameters: str) -> dict[str, object]:
    given = envelope("alice@example.org", "bob@example.org")
    given["mailFrom"]["parameters"] = parameters
    return given


async def undo(alice: Sender, submission_id: str) -> dict[str, object]:
    patch = {submission_id: {"undoStatus": "canceled"}}
    return await alice.call("EmailSubmission/set", update=patch)


async def wait(stores: LocalStores, seconds: int) -> None:
    """Let time pass, and the outbox do what is due then."""
    await until(lambda: not stores.outbox._work)
    stores.clock.advance(seconds)
    await until(lambda: not stores.outbox._work)


@pytest_twisted.ensureDeferred
async def test_it_is_announced(stores: LocalStores) -> None:
    alice, _ = await both(stores)
    account = (await alice.user.session())["accounts"][alice.user.account_id]
    assert account["accountCapabilities"]["urn:ietf:params:jmap:submission"] == {
        "maxDelayedSend": 60,
        "submissionExtensions": {"DSN": [], "REQUIRETLS": [], "FUTURERELEASE": ["60"]},
    }


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_undone_never_leaves(stores: LocalStores) -> None:
    alice, bob = await both(stores)
    made = await alice.send(LOCAL, envelope=held(HOLDFOR="5"))
    assert made["sendAt"] == format_utc_date((START + 5) * 1000)
    await wait(stores, 2)
    now = await alice.get(made["id"])
    assert now["undoStatus"] == "pending" and now["envelope"] == held(HOLDFOR="5")
    assert now["deliveryStatus"] == {"bob@example.org": QUEUED}
    assert (await undo(alice, made["id"]))["updated"]
    for _ in range(10):
        await wait(stores, 5)
    assert await bob.mail() == []
    assert (await alice.get(made["id"]))["undoStatus"] == "canceled"
    assert await stores.outbox.status(made["id"]) is None


@pytest_twisted.ensureDeferred
async def test_a_message_leaves_once_and_in_time(stores: LocalStores) -> None:
    alice, bob = await both(stores)
    until = format_utc_date((START + 5) * 1000)
    for parameters in ({"HOLDFOR": "5"}, {"HOLDUNTIL": until}):
        made = await alice.send(LOCAL, envelope=held(**parameters))
        assert made["sendAt"] == until and made["undoStatus"] == "pending"
    await wait(stores, 4)
    assert await bob.mail() == []
    await wait(stores, 1)
    assert len(await bob.mail()) == 2
    await alice.reached(made["id"], "yes")
    for _ in range(5):
        await wait(stores, 60)
    assert len(await bob.mail()) == 2
    refused = await undo(alice, made["id"])
    assert refused["notUpdated"][made["id"]]["type"] == "cannotUnsend"  # type: ignore[index]


@pytest_twisted.ensureDeferred
async def test_the_daemon_ends_in_between(tmp_path: Path, clock: Clock) -> None:
    stores = LocalStores.start(tmp_path, reactor, clock)
    alice, _ = await both(stores)
    kept = await alice.send(LOCAL, envelope=held(HOLDFOR="5"))
    undone = await alice.send(LOCAL, envelope=held(HOLDFOR="5"))
    await wait(stores, 2)
    await undo(alice, undone["id"])
    await stores.stop()
    stores = LocalStores.start(tmp_path, reactor, clock)
    alice, bob = await both(stores)
    await wait(stores, 2)
    assert await bob.mail() == []
    await wait(stores, 1)
    await alice.reached(kept["id"], "yes")
    await wait(stores, 60)
    assert len(await bob.mail()) == 1
    assert (await alice.get(undone["id"]))["undoStatus"] == "canceled"
    await stores.stop()
    assert stores.failures == []


@pytest_twisted.ensureDeferred
async def test_times_that_are_refused(stores: LocalStores) -> None:
    alice, _ = await both(stores)
    for parameters in (
        {"HOLDFOR": "61"},
        {"HOLDFOR": "soon"},
        {"HOLDUNTIL": format_utc_date((START + 61) * 1000)},
        {"HOLDFOR": "5", "HOLDUNTIL": format_utc_date((START + 5) * 1000)},
    ):
        error = await alice.refused(LOCAL, envelope=held(**parameters))
        assert error["type"] == "invalidProperties"
        assert error["properties"] == ["envelope/mailFrom/parameters"]
    assert list(await stores.outbox.blob_ids("", "z", 10)) == []

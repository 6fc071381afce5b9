"""The daemon ends between the account and the outbox (RFC 8621 §7)."""

from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailhive.model.principal import Principal
from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import LOCAL, REMOTE, Sender

ALICE = Principal("alice", emails=("alice@example.org", "al@example.org"))
BOB = Principal("bob", emails=("bob@example.org",))


@pytest_twisted.ensureDeferred
async def test_what_was_accepted_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon ends when records are durable, and before the outbox hears of it."""
    stores = LocalStores.start(tmp_path, reactor)
    bob, alice = await Sender.of(stores, BOB), await Sender.of(stores, ALICE)
    waiting = await alice.send(REMOTE)
    await alice.reached(waiting["id"], "waiting", "waiting")

    async def nothing(message_id: str) -> None:
        """The end came first."""

    for name in ("release", "cancel", "settle"):
        monkeypatch.setattr(stores.outbox, name, nothing)
    accepted = await alice.send(LOCAL)
    refused = await alice.try_to_send(await alice.draft(LOCAL), undoStatus="final")
    assert refused["created"] is None
    given = {"identityId": alice.identity_id, "emailId": await alice.draft(LOCAL)}
    await alice.call("EmailSubmission/set", create={"s": given}, ifInState="nope")
    patch = {waiting["id"]: {"undoStatus": "canceled"}}
    canceled = await alice.call("EmailSubmission/set", update=patch)
    assert canceled["updated"]
    assert await bob.mail() == []
    await stores.stop()

    stores = LocalStores.start(tmp_path, reactor)
    bob, alice = await Sender.of(stores, BOB), await Sender.of(stores, ALICE)
    await alice.reached(accepted["id"], "yes")
    assert (await alice.get(waiting["id"]))["undoStatus"] == "canceled"
    while list(await stores.outbox.blob_ids("", "z", 10)):
        await turn()
    assert len(await bob.mail()) == 1
    assert (await alice.call("EmailSubmission/query"))["ids"] == [waiting["id"], accepted["id"]]
    await stores.stop()
    assert stores.failures == []

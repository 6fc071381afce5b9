"""undoStatus, and what else may be changed (RFC 8621 §7)."""

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import LOCAL, REMOTE, Sender


@pytest_twisted.ensureDeferred
async def test_a_submission_is_canceled(stores: LocalStores, alice: Sender) -> None:
    made = await alice.send(REMOTE)
    patch = {"undoStatus": "canceled", "emailId": (await alice.get(made["id"]))["emailId"]}
    result = await alice.call("EmailSubmission/set", update={made["id"]: patch})
    canceled = {
        "smtpReply": "554 5.0.0 Canceled by the sender",
        "delivered": "no",
        "displayed": "unknown",
    }
    status = {"yan@far.example": canceled, "zoe@far.example": canceled}
    assert result["updated"] == {made["id"]: {"deliveryStatus": status}}
    now = await alice.get(made["id"])
    assert now["undoStatus"] == "canceled" and now["deliveryStatus"] == status
    assert await stores.outbox.status(made["id"]) is None
    again = await alice.call("EmailSubmission/set", update={made["id"]: patch})
    assert again["updated"] == {made["id"]: None}


@pytest_twisted.ensureDeferred
async def test_what_is_sent_cannot_be_unsent(alice: Sender) -> None:
    made = await alice.send()
    await alice.reached(made["id"], "yes", "waiting")
    patch = {made["id"]: {"undoStatus": "canceled"}}
    result = await alice.call("EmailSubmission/set", update=patch)
    assert result["notUpdated"][made["id"]]["type"] == "cannotUnsend"
    assert (await alice.get(made["id"]))["undoStatus"] == "final"


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_updated(alice: Sender) -> None:
    made = await alice.send(REMOTE)
    for patch in (
        {"undoStatus": "final"},
        {"undoStatus": "x"},
        {"undoStatus": None},
        {"emailId": "M999"},
        {"envelope": None},
        {"sendAt": "2026-01-01T00:00:00Z"},
        {"deliveryStatus": None},
        {"nope": 1},
    ):
        result = await alice.call("EmailSubmission/set", update={made["id"]: patch})
        error = result["notUpdated"][made["id"]]
        assert error["type"] == "invalidProperties", patch
    canceled = {"undoStatus": "canceled", "nope": 1}
    result = await alice.call("EmailSubmission/set", update={made["id"]: canceled, "#x": {}})
    assert result["notUpdated"][made["id"]]["type"] == "invalidProperties"
    assert result["notUpdated"]["#x"]["type"] == "notFound"
    result = await alice.call(
        "EmailSubmission/set", update={made["id"]: canceled}, ifInState="nope"
    )
    assert result["error"]["type"] == "stateMismatch"
    assert (await alice.get(made["id"]))["undoStatus"] == "pending"
    result = await alice.call(
        "EmailSubmission/set", update={made["id"]: {"undoStatus": "canceled"}}
    )
    assert made["id"] in result["updated"]  # nothing of the above still holds it


@pytest_twisted.ensureDeferred
async def test_the_submissions_of_others_are_out_of_reach(
    stores: LocalStores, alice: Sender, bob: Sender
) -> None:
    made = await alice.send(REMOTE)
    patch = {made["id"]: {"undoStatus": "canceled"}}
    result = await bob.call("EmailSubmission/set", update=patch, destroy=["nope"])
    assert result["notUpdated"][made["id"]]["type"] == "notFound"
    assert result["notDestroyed"]["nope"]["type"] == "notFound"
    assert (await stores.outbox.status(made["id"])).can_be_undone


@pytest_twisted.ensureDeferred
async def test_made_and_canceled_or_destroyed_in_one_call(
    stores: LocalStores, alice: Sender, bob: Sender
) -> None:
    email_id = await alice.draft(LOCAL)
    given = {"identityId": alice.identity_id, "emailId": email_id}
    result = await alice.call(
        "EmailSubmission/set",
        create={"gone": given, "no": given},
        update={"#no": {"undoStatus": "canceled"}},
        destroy=["#gone"],
    )
    gone, no = (result["created"][c]["id"] for c in ("gone", "no"))
    assert result["destroyed"] == [gone] and no in result["updated"]
    # RFC 8621 §7.5: destroying does not affect the delivery.
    while not await bob.mail():
        await turn()
    assert await stores.outbox.status(no) is None
    assert len(await bob.mail()) == 1


@pytest_twisted.ensureDeferred
async def test_cancels_and_deliveries_that_race(alice: Sender, bob: Sender) -> None:
    sent = 0
    for _ in range(10):
        made = await alice.send(LOCAL)
        patch = {made["id"]: {"undoStatus": "canceled"}}
        results = await gatherResults(
            Deferred.fromCoroutine(alice.call("EmailSubmission/set", update=patch))
            for _ in range(3)
        )
        done = [bool(result["updated"]) for result in results]
        if any(done):
            assert (await alice.get(made["id"]))["undoStatus"] == "canceled"
        else:
            sent += 1
            await alice.reached(made["id"], "yes")
        assert len(await bob.mail()) == sent

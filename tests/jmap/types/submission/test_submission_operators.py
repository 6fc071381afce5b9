"""Operators cancel messages, and EmailSubmissions say so (RFC 8621 §7)."""

import pytest_twisted
from attrs import evolve

from mailhive.jmap.types.submission.records import Submissions
from mailhive.model.outbound import RecipientStatus
from mailhive.queue.ledger import FILE, open_ledger
from mailhive.sqlite.connection import Connection
from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import DRAFT, REMOTE, Sender

REPLY = "554 5.0.0 Canceled by an operator"


def revoke(stores: LocalStores, message_id: str) -> None:
    connection = Connection(stores.context.data_dir / FILE)
    open_ledger(connection).revoke(message_id)
    connection.close()


@pytest_twisted.ensureDeferred
async def test_a_submission_that_an_operator_cancels(stores: LocalStores, alice: Sender) -> None:
    made = await alice.send(REMOTE)
    await alice.reached(made["id"], "waiting", "waiting")
    status = await stores.outbox.status(made["id"])
    revoke(stores, made["id"])
    now = await alice.reached(made["id"], "no", "no")
    assert now["undoStatus"] == "canceled"
    assert {s["smtpReply"] for s in now["deliveryStatus"].values()} == {REPLY}
    while await stores.outbox.status(made["id"]) is not None:
        await turn()
    submissions = Submissions(stores.mail_store)
    await submissions.tell(status)  # what is older changes nothing
    assert await alice.get(made["id"]) == now
    # If somebody has it after all, then it was not canceled.
    gone = RecipientStatus("yan@far.example", "unknown", "250 2.0.0 Ok")
    await submissions.tell(evolve(status, recipients=(gone, status.recipients[1])))
    assert (await alice.get(made["id"]))["undoStatus"] == "final"


@pytest_twisted.ensureDeferred
async def test_a_submission_of_which_a_part_is_canceled(stores: LocalStores, alice: Sender) -> None:
    made = await alice.send(DRAFT)
    await alice.reached(made["id"], "yes", "waiting")
    revoke(stores, made["id"])
    now = await alice.reached(made["id"], "yes", "no")
    assert now["undoStatus"] == "final"
    assert now["deliveryStatus"]["zoe@far.example"]["smtpReply"] == REPLY

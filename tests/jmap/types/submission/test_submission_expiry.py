"""EmailSubmissions that are over are destroyed after a while (RFC 8621 §7)."""

from typing import Any

import pytest_twisted
from twisted.internet.task import Clock

from mailhive.errors import AccountNotFound
from mailhive.jmap.types.submission import expiry as module
from mailhive.jmap.types.submission.expiry import SubmissionExpiry
from mailhive.mail.collector import Collector
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import LOCAL, REMOTE, Sender

DAY = 86_400.0


async def ids(alice: Sender) -> list[str]:
    return [s["id"] for s in (await alice.call("EmailSubmission/get", ids=None))["list"]]


@pytest_twisted.ensureDeferred
async def test_what_is_over_goes(
    stores: LocalStores, alice: Sender, bob: Sender, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    waiting = (await alice.send(REMOTE))["id"]
    await alice.reached(waiting, "waiting", "waiting")
    canceled = (await alice.send(REMOTE))["id"]
    await alice.call("EmailSubmission/set", update={canceled: {"undoStatus": "canceled"}})
    local = [(await alice.send(LOCAL))["id"] for _ in range(3)]
    for submission_id in local:
        await alice.reached(submission_id, "yes")
    state = (await alice.call("EmailSubmission/get", ids=[]))["state"]
    expiry, now = SubmissionExpiry(stores.mail_store, 30 * DAY), stores.now() / 1000
    account_id = alice.user.account_id
    assert await expiry.expire(account_id, now + 29 * DAY) == 0
    assert await expiry.expire(bob.user.account_id, now + 31 * DAY) == 0
    assert await expiry.expire(account_id, now + 31 * DAY) == 4
    assert await ids(alice) == [waiting]
    changes = await alice.call("EmailSubmission/changes", sinceState=state)
    assert set(changes["destroyed"]) == {canceled, *local}
    assert changes["created"] == changes["updated"] == []
    # The Emails are the user's.
    assert (await alice.call("Email/query", calculateTotal=True))["total"] == 5


@pytest_twisted.ensureDeferred
async def test_the_collector_sees_to_it(stores: LocalStores, alice: Sender, bob: Sender) -> None:
    sent = (await alice.send(LOCAL))["id"]
    await alice.reached(sent, "yes")
    clock = Clock()
    clock.rightNow = stores.now() / 1000 + 2 * DAY

    class Removed:
        async def expire(self, account_id: str, now: float) -> int:
            assert now == clock.rightNow
            raise AccountNotFound(account_id)

    collector = Collector(
        stores.mail_store,
        stores.blob_store,
        stores.context.reactor,
        interval=DAY,
        upload_life=DAY,
        age=DAY,
        pause=0.0,
        expiries=(Removed(), SubmissionExpiry(stores.mail_store, DAY)),
    )
    clock.callLater = stores.context.reactor.callLater  # type: ignore[method-assign]
    collector.clock = clock
    assert (await collector.collect()).expired == 1
    assert await ids(alice) == []

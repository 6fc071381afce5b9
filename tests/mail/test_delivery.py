"""Local delivery: into every inbox or none."""

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, fail, succeed

from mailhive.errors import TemporaryFailure
from mailhive.mail.delivery import LocalDelivery
from mailhive.model.arrival import Arrival
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores

MESSAGE = b"Received: by x; Tue, 1 Oct 2024 10:00:00 +0200\r\nSubject: hi\r\n\r\nbody\r\n"
ALICE, BOB = Principal("alice"), Principal("bob")
SMALL = Principal("small", quota=10)
MEDIUM = Principal("medium", quota=100)


@frozen
class Addresses:
    """As much of a directory as delivery asks: a dict of addresses."""

    principals: dict[str, tuple[Principal, ...]] = field(factory=dict)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        if address == "down@example.org":
            return fail(TemporaryFailure("the directory is down"))
        return succeed(self.principals.get(address, ()))


DIRECTORY = Addresses(
    {
        "alice@example.org": (ALICE,),
        "bob@example.org": (BOB,),
        "all@example.org": (ALICE, BOB),
        "small@example.org": (SMALL,),
        "medium@example.org": (MEDIUM,),
    }
)


def _delivery(stores: LocalStores) -> LocalDelivery:
    return LocalDelivery(
        directory=DIRECTORY,
        accounts=stores.accounts,
        blob_store=stores.blob_store,
        offload=stores.context.offload,
        now=stores.now,
    )


async def deliver(stores: LocalStores, *recipients: str) -> list[tuple[str, int, str]]:
    delivery = _delivery(stores)
    alice = await stores.user(ALICE)
    blob_id = await alice.store_blob(MESSAGE)
    outcomes = await delivery.deliver(Envelope("x@example.com", recipients), blob_id)
    return [(o.recipient, o.code, o.enhanced) for o in outcomes]


async def inbox(stores: LocalStores, principal: Principal) -> list[dict[str, Any]]:
    user = await stores.user(principal)
    result = await user.call("Email/get", properties=["subject", "blobId", "mailboxIds"])
    role = await user.role("inbox")
    assert all(email["mailboxIds"] == {role: True} for email in result["list"])
    emails: list[dict[str, Any]] = result["list"]
    return emails


@pytest_twisted.ensureDeferred
async def test_every_recipient_gets_one_and_the_blob_is_stored_once(stores: LocalStores) -> None:
    outcomes = await deliver(stores, "alice@example.org", "all@example.org")
    assert outcomes == [("alice@example.org", 250, "2.1.5"), ("all@example.org", 250, "2.1.5")]
    (alices,), (bobs,) = await inbox(stores, ALICE), await inbox(stores, BOB)
    assert alices["subject"] == bobs["subject"] == "hi"
    assert alices["blobId"] == bobs["blobId"]
    user = await stores.user(BOB)
    assert await user.download(bobs["blobId"]) == MESSAGE


@pytest_twisted.ensureDeferred
async def test_when_one_cannot_take_it_nobody_keeps_it(stores: LocalStores) -> None:
    outcomes = await deliver(stores, "alice@example.org", "small@example.org", "bob@example.org")
    assert {(code, enhanced) for _, code, enhanced in outcomes} == {(452, "4.2.2")}
    assert await inbox(stores, ALICE) == await inbox(stores, BOB) == []
    assert await inbox(stores, SMALL) == []


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_down_puts_delivery_off(stores: LocalStores) -> None:
    outcomes = await deliver(stores, "alice@example.org", "down@example.org")
    assert {(code, enhanced) for _, code, enhanced in outcomes} == {(451, "4.3.0")}
    outcomes = await deliver(stores, "alice@example.org", "gone@example.org")
    assert {(code, enhanced) for _, code, enhanced in outcomes} == {(451, "4.3.0")}
    assert await inbox(stores, ALICE) == []


@pytest_twisted.ensureDeferred
async def test_recipients_are_those_of_the_directory(stores: LocalStores) -> None:
    delivery = _delivery(stores)
    assert await delivery.check_recipient("alice@example.org") is None
    assert await delivery.check_recipient("gone@example.org") == RecipientOutcome(
        "gone@example.org", 550, "5.1.1", "No such recipient here"
    )
    with pytest.raises(TemporaryFailure):
        await delivery.check_recipient("down@example.org")


@pytest_twisted.ensureDeferred
async def test_who_has_no_room_is_told_before_the_message_comes(stores: LocalStores) -> None:
    delivery = _delivery(stores)
    address = "medium@example.org"
    full = RecipientOutcome(address, 452, "4.2.2", "The account is over its quota")
    assert await delivery.check_recipient(address) is None
    assert await delivery.check_recipient(address, 100) is None
    assert await delivery.check_recipient(address, 101) == full
    user = await stores.user(MEDIUM)
    await user.add(b"Subject: x\r\n\r\n" + b"x" * 86)
    assert await delivery.check_recipient(address) == full
    assert await delivery.check_recipient("alice@example.org", 10**9) is None


@pytest_twisted.ensureDeferred
async def test_an_account_that_is_removed_meanwhile(stores: LocalStores) -> None:
    """The others do not get the message twice, and nobody reads of a bug."""
    account_id = await stores.accounts.ensure(BOB)

    class Accounts:
        store = stores.mail_store

        async def ensure(self, owner: Principal) -> str:
            if owner is BOB:
                await self.store.delete_account(account_id)
                return account_id
            return await stores.accounts.ensure(owner)

    delivery = evolve(_delivery(stores), accounts=Accounts())
    alice = await stores.user(ALICE)
    blob_id = await alice.store_blob(MESSAGE)
    for others in (), ("small@example.org",):  # who has no room is no reason to forget it
        envelope = Envelope("x@example.com", (*others, "all@example.org"))
        for outcome in await delivery.deliver(envelope, blob_id):
            assert (outcome.code, outcome.enhanced) == (451, "4.3.0")
    assert await inbox(stores, ALICE) == []


@pytest_twisted.ensureDeferred
async def test_junk_goes_to_its_mailbox(stores: LocalStores) -> None:
    told: list[bool] = []
    delivery = evolve(_delivery(stores), observers=(lambda delivered: told.append(delivered.junk),))
    alice = await stores.user(ALICE)

    async def file(subject: bytes, junk: bool) -> dict[str, Any]:
        blob_id = await alice.store_blob(b"Subject: " + subject + b"\r\n\r\n")
        envelope = Envelope("x@example.com", ("alice@example.org",))
        (outcome,) = await delivery.deliver(envelope, blob_id, Arrival(junk))
        assert outcome.code == 250
        found = await alice.call("Email/get", properties=["subject", "mailboxIds", "keywords"])
        return next(e for e in found["list"] if e["subject"] == subject.decode())

    first = await file(b"one", True)
    assert first["mailboxIds"] == {await alice.role("junk"): True}
    assert first["keywords"] == {"$junk": True}
    second = await file(b"two", False)
    assert second["mailboxIds"] == {await alice.role("inbox"): True} and not second["keywords"]
    # Who has no such mailbox still gets it.
    await alice.call("Mailbox/set", destroy=[await alice.role("junk")], onDestroyRemoveEmails=True)
    third = await file(b"three", True)
    assert third["mailboxIds"] == {await alice.role("inbox"): True}
    assert third["keywords"] == {"$junk": True}
    assert told == [True, False, True]

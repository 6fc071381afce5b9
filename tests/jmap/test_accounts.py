"""Several accounts in one session (RFC 8620 §1.6.2, §2)."""

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve

from mailhive.errors import MailhiveError
from mailhive.jmap.errors import RequestError
from mailhive.mail.delivery import LocalDelivery
from mailhive.model.envelope import Envelope
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = b"From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n"
TEAM = Principal("team", "group", emails=("team@example.org",), member_of=("firm",))
FIRM = Principal("firm", "group", emails=("firm@example.org",), members_may="read")
ALICE = Principal("alice", emails=("alice@example.org",), member_of=("team",))
BOB = Principal("bob", emails=("bob@example.org",), member_of=("firm",))


@pytest_twisted.async_yield_fixture
async def alice(stores: LocalStores) -> Any:
    """A member of `team` and through it of `firm`, which is read-only."""
    stores.directory.put(TEAM, FIRM)
    yield await stores.user(ALICE)


@pytest_twisted.ensureDeferred
async def test_the_session_has_the_accounts_of_groups(alice: LocalUser) -> None:
    session = await alice.session()
    own, team, firm = session["accounts"].values()
    assert next(iter(session["accounts"])) == alice.account_id
    assert set(session["primaryAccounts"].values()) == {alice.account_id}
    for account, name, is_personal, is_read_only in [
        (own, "alice", True, False),
        (team, "team", False, False),
        (firm, "firm", False, True),
    ]:
        assert account["name"] == name
        assert account["isPersonal"] is is_personal
        assert account["isReadOnly"] is is_read_only
        assert "urn:ietf:params:jmap:mail" in account["accountCapabilities"]
        mail = account["accountCapabilities"]["urn:ietf:params:jmap:mail"]
        assert mail["mayCreateTopLevelMailbox"] is not is_read_only


@pytest_twisted.ensureDeferred
async def test_the_session_state_tells_of_membership(stores: LocalStores, alice: LocalUser) -> None:
    async def state() -> str:
        session = (await alice.session())["state"]
        response = await alice.request(["Core/echo", {}, "c"])
        assert response["sessionState"] == session
        return str(session)

    states = [await state()]
    assert await state() == states[0]
    for change in (
        Principal("alice", emails=("alice@example.org",)),
        ALICE,
        Principal("firm", "group", emails=("firm@example.org",)),
    ):
        stores.directory.put(change)
        states.append(await state())
    assert states[0] == states[2]
    assert len(set(states)) == 3


@pytest_twisted.ensureDeferred
async def test_an_account_is_for_members_only(stores: LocalStores, alice: LocalUser) -> None:
    team = (await alice.shared("team")).account_id
    bob = await stores.user(BOB)
    assert (await bob.call("Mailbox/get", accountId=team))["error"] == {"type": "accountNotFound"}
    with pytest.raises(RequestError) as caught:
        await bob.api.blob(BOB, team, "bx")
    assert caught.value.status == 404
    stores.directory.put(Principal("bob", member_of=("team",)))
    assert len((await bob.call("Mailbox/get", accountId=team))["list"]) == 6
    stores.directory.put(BOB)
    assert "error" in await bob.call("Mailbox/get", accountId=team)


@pytest_twisted.ensureDeferred
async def test_members_share_what_is_in_the_account(stores: LocalStores, alice: LocalUser) -> None:
    bob = await stores.user(Principal("bob", member_of=("team",)))
    alices, bobs = await alice.shared("team"), await bob.shared("team")
    assert alices.account_id == bobs.account_id
    email_id = await alices.add(MESSAGE)
    result = await bobs.call("Email/set", update={email_id: {"keywords/$seen": True}})
    assert result["updated"] == {email_id: None}
    found = await alices.call("Email/get", ids=[email_id], properties=["keywords"])
    assert found["list"][0]["keywords"] == {"$seen": True}
    assert (await alice.call("Email/query"))["ids"] == []


@pytest_twisted.ensureDeferred
async def test_mail_to_a_group_is_in_its_account(stores: LocalStores, alice: LocalUser) -> None:
    delivery = LocalDelivery(
        directory=stores.directory,
        accounts=stores.accounts,
        blob_store=stores.blob_store,
        offload=stores.context.offload,
        now=stores.now,
    )
    assert await delivery.check_recipient("team@example.org") is None
    with stores.blob_store.hold():
        blob_id = await alice.store_blob(MESSAGE)
        envelope = Envelope("x@example.com", ("team@example.org", "alice@example.org"))
        outcomes = await delivery.deliver(envelope, blob_id)
    assert [outcome.code for outcome in outcomes] == [250, 250]
    for user in (alice, await alice.shared("team")):
        assert len((await user.call("Email/query"))["ids"]) == 1
    assert (await (await alice.shared("firm")).call("Email/query"))["ids"] == []


@pytest_twisted.ensureDeferred
async def test_each_member_subscribes_to_mailboxes(stores: LocalStores, alice: LocalUser) -> None:
    bob = await stores.user(Principal("bob", member_of=("team",)))
    alices, bobs = await alice.shared("team"), await bob.shared("team")

    async def subscribed(user: LocalUser) -> dict[str, bool]:
        mailboxes = (await user.call("Mailbox/get"))["list"]
        asked = (await user.call("Mailbox/query", filter={"isSubscribed": True}))["ids"]
        assert set(asked) == {m["id"] for m in mailboxes if m["isSubscribed"]}
        return {m["name"]: m["isSubscribed"] for m in mailboxes}

    assert set((await subscribed(alice)).values()) == {True}  # one's own
    assert set((await subscribed(alices)).values()) == {False}
    # RFC 8621 §2: true for new Mailboxes created by the user, false for the others.
    made = await alices.call("Mailbox/set", create={"m": {"name": "Plans"}})
    mailbox_id = made["created"]["m"]["id"]
    assert (await subscribed(alices))["Plans"] is True
    assert (await subscribed(bobs))["Plans"] is False
    state = (await alices.call("Mailbox/get", ids=[]))["state"]
    update = {mailbox_id: {"isSubscribed": True, "name": "Bob's"}}
    assert "updated" in await bobs.call("Mailbox/set", update=update)
    assert (await alices.call("Mailbox/changes", sinceState=state))["updated"] == [mailbox_id]
    await alices.call("Mailbox/set", update={mailbox_id: {"isSubscribed": False}})
    assert (await subscribed(alices))["Bob's"] is False
    assert (await subscribed(bobs))["Bob's"] is True


@pytest_twisted.ensureDeferred
async def test_nothing_changes_in_a_read_only_account(alice: LocalUser) -> None:
    firm = await alice.shared("firm")
    blob_id = await alice.upload(MESSAGE)
    inbox = await firm.role("inbox")
    email_id = await alice.add(MESSAGE)
    for mailbox in (await firm.call("Mailbox/get"))["list"]:
        rights = {name for name, may in mailbox["myRights"].items() if may}
        assert rights == {"mayReadItems"}
    email = {"blobId": blob_id, "mailboxIds": {inbox: True}}
    source = {"fromAccountId": alice.account_id}
    for method, arguments in [
        ("Mailbox/set", {"create": {"m": {"name": "x"}}}),
        ("Mailbox/set", {"update": {inbox: {"isSubscribed": True}}}),
        ("Email/set", {"create": {"e": {"mailboxIds": {inbox: True}}}}),
        ("Email/import", {"emails": {"e": email}}),
        ("Email/copy", {**source, "create": {"e": {"id": email_id, "mailboxIds": {inbox: True}}}}),
        ("Blob/copy", {**source, "blobIds": [blob_id]}),
    ]:
        result = await firm.call(method, **arguments)
        assert result == {"error": {"type": "accountReadOnly"}}, method
    with pytest.raises(MailhiveError) as caught:
        await firm.upload(MESSAGE)
    assert isinstance(caught.value, RequestError)
    assert caught.value.status == 403
    assert (await firm.call("Email/query"))["ids"] == []


@pytest_twisted.ensureDeferred
async def test_without_provisioning_a_group_may_have_no_account(
    stores: LocalStores, alice: LocalUser
) -> None:
    stores.directory.put(Principal("new", "group"), Principal("alice", member_of=("new", "team")))
    alice.api.provisioning = False
    assert [a["name"] for a in (await alice.session())["accounts"].values()] == ["alice"]
    alice.api.provisioning = True
    names = [a["name"] for a in (await alice.session())["accounts"].values()]
    assert names == ["alice", "new", "team", "firm"]


@pytest_twisted.ensureDeferred
async def test_an_upload_is_its_uploaders_until_something_refers_to_it(
    stores: LocalStores, alice: LocalUser
) -> None:
    team = await alice.shared("team")
    bob = await stores.user(Principal("bob", member_of=("team",)))
    hers = await bob.shared("team")
    blob_id = await team.upload(b"Subject: s\r\n\r\nnot yet shared\r\n")
    with pytest.raises(RequestError):
        await hers.download(blob_id)
    inbox = {await team.role("inbox"): True}
    refused = await hers.call(
        "Email/import", emails={"e": {"blobId": blob_id, "mailboxIds": inbox}}
    )
    assert refused["notCreated"]["e"]["properties"] == ["blobId"]
    made = await team.call("Email/import", emails={"e": {"blobId": blob_id, "mailboxIds": inbox}})
    assert made["created"]
    assert (await hers.download(blob_id)).startswith(b"Subject")


@pytest_twisted.ensureDeferred
async def test_the_state_of_mailboxes_tells_of_rights(
    stores: LocalStores, alice: LocalUser
) -> None:
    """What `myRights` says has changed (RFC 8620 §5.1)."""
    team = (await alice.shared("team")).account_id
    before = await alice.call("Mailbox/get", accountId=team)
    assert all(mailbox["myRights"]["maySetKeywords"] for mailbox in before["list"])
    stores.directory.put(evolve(TEAM, members_may="read"))
    after = await alice.call("Mailbox/get", accountId=team)
    assert not any(mailbox["myRights"]["maySetKeywords"] for mailbox in after["list"])
    changes = await alice.call("Mailbox/changes", accountId=team, sinceState=before["state"])
    assert set(changes["updated"]) == {mailbox["id"] for mailbox in after["list"]}
    assert changes["newState"] == after["state"] != before["state"]
    # And it settles.
    assert (await alice.call("Mailbox/get", accountId=team))["state"] == after["state"]

"""EmailSubmission/set: what is not sent, and why (RFC 8621 §7.5)."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal
from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import DRAFT, LOCAL, Sender, envelope

ALICE = Principal("alice", emails=("alice@example.org", "al@example.org"))


@pytest_twisted.ensureDeferred
async def test_objects_that_are_not_there(alice: Sender) -> None:
    error = await alice.refused(emailId="nope")
    assert error["type"] == "invalidProperties" and error["properties"] == ["emailId"]
    error = await alice.refused(identityId="nope", emailId="#nope")
    assert error["type"] == "invalidProperties" and error["properties"] == ["emailId"]
    error = await alice.refused(identityId="nope", emailId="nope")
    assert error["properties"] == ["emailId", "identityId"]


@pytest_twisted.ensureDeferred
async def test_properties_that_are_wrong(alice: Sender) -> None:
    for wrong in (
        {"undoStatus": "pending"},
        {"sendAt": "2026-01-01T00:00:00Z"},
        {"threadId": "T1"},
        {"nope": 1},
        {"emailId": None},
        {"envelope": {"rcptTo": []}},
        {"envelope": {**envelope("a@b.example"), "x": 1}},
        {"envelope": envelope("a@b.example", 3)},  # type: ignore[arg-type]
    ):
        error = await alice.refused(**wrong)
        assert error["type"] == "invalidProperties" and error["properties"] == [*wrong]
    result = await alice.call("EmailSubmission/set", create={"a": 1, "b": {}})
    assert result["notCreated"]["a"]["type"] == "invalidProperties"
    assert result["notCreated"]["b"]["properties"] == ["identityId", "emailId"]
    # Neither is of an extension that is shown: nothing is sent later, unless it is configured.
    given = envelope("alice@example.org", "bob@example.org", "zoe@far.example")
    given["mailFrom"]["parameters"] = {"HOLDFOR": "60"}
    given["rcptTo"][1]["parameters"] = {"BY": "120;R"}
    given["rcptTo"][0]["parameters"] = {}
    error = await alice.refused(envelope=given)
    assert error["type"] == "invalidProperties"
    assert error["properties"] == [
        "envelope/mailFrom/parameters",
        "envelope/rcptTo/1/parameters",
    ]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        (b"", ["from"]),
        (b"From:\r\n", ["from"]),
        (b"From: alice\r\n", ["from"]),
        (b"From: alice@example.org, al@example.org\r\n", ["from"]),
        (b"From: alice@example.org\r\nFrom: alice@example.org\r\n", ["from"]),
        (b"From: alice@example.org\r\nSender: a@b.example, c@d.example\r\n", ["sender"]),
        (b"Sender:\r\nSender: a@b.example\r\n", ["from", "sender"]),
    ],
)
async def test_invalid_email(alice: Sender, header: bytes, wrong: list[str]) -> None:
    error = await alice.refused(b"Subject: x\r\n" + header + b"To: x@far.example\r\n\r\nx")
    assert error["type"] == "invalidEmail" and error["properties"] == wrong


@pytest_twisted.ensureDeferred
async def test_recipients_that_are_wrong(alice: Sender) -> None:
    nobody = b"From: alice@example.org\r\n\r\nx"
    assert (await alice.refused(nobody))["type"] == "noRecipients"
    given = envelope("alice@example.org")
    assert (await alice.refused(envelope=given))["type"] == "noRecipients"
    wrong = ["x", "@far.example", "a b@far.example", "a@far.example> SIZE=1", "nobody@example.org"]
    given = envelope("alice@example.org", "zoe@far.example", *wrong)
    error = await alice.refused(envelope=given)
    assert error["type"] == "invalidRecipients" and error["invalidRecipients"] == wrong


@pytest_twisted.ensureDeferred
async def test_limits(stores: LocalStores, alice: Sender) -> None:
    email_id = await alice.draft(b"From: alice@example.org\r\nTo: a@b.example\r\n\r\n" + b"x" * 99)
    small = await Sender.of(stores, ALICE, email_size=100, recipients=2)
    error = (await small.try_to_send(email_id))["notCreated"]["s"]
    assert error["type"] == "tooLarge" and error["maxSize"] == 100
    addresses = [f"{c}@far.example" for c in "abc"]
    few = await Sender.of(stores, ALICE, recipients=2)
    given = envelope("alice@example.org", *addresses)
    error = (await few.try_to_send(email_id, envelope=given))["notCreated"]["s"]
    assert error["type"] == "tooManyRecipients" and error["maxRecipients"] == 2
    given["rcptTo"].pop()
    assert (await few.try_to_send(email_id, envelope=given))["created"]


@pytest_twisted.ensureDeferred
async def test_who_may_send(stores: LocalStores, alice: Sender) -> None:
    # The From of another, though it has a right to be sent from by this account.
    error = await alice.refused(DRAFT.replace(b"<alice@", b"<al@"))
    assert error["type"] == "forbiddenFrom"
    error = await alice.refused(DRAFT.replace(b"<alice@", b"<bob@"))
    assert error["type"] == "forbiddenFrom"
    given = envelope("bob@example.org", "zoe@far.example")
    error = await alice.refused(envelope=given)
    assert error["type"] == "forbiddenMailFrom"
    # An address that the account has lost.
    email_id = await alice.draft()
    less = await Sender.of(stores, Principal("alice", emails=("al@example.org",)))
    assert less.identity_id == alice.identity_id
    assert (await less.try_to_send(email_id))["notCreated"]["s"]["type"] == "forbiddenFrom"
    none = await Sender.of(stores, Principal("alice"))
    error = (await none.try_to_send(email_id))["notCreated"]["s"]
    assert error["type"] == "forbiddenToSend" and error["description"]


@pytest_twisted.ensureDeferred
async def test_nothing_is_sent_of_what_was_refused(
    stores: LocalStores, alice: Sender, bob: Sender
) -> None:
    email_id = await alice.draft(LOCAL)
    given = {"identityId": alice.identity_id, "emailId": email_id}
    result = await alice.call("EmailSubmission/set", create={"s": given}, ifInState="nope")
    assert result["error"]["type"] == "stateMismatch"
    mixed = await alice.call("EmailSubmission/set", create={"a": given, "b": {**given, "x": 1}})
    assert mixed["created"].keys() == {"a"} and mixed["notCreated"].keys() == {"b"}
    await alice.reached(mixed["created"]["a"]["id"], "yes")
    assert len(await bob.mail()) == 1
    while list(await stores.outbox.blob_ids("", "z", 10)):
        await turn()


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_down(
    stores: LocalStores, alice: Sender, bob: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    email_id = await alice.draft(LOCAL)

    def down(address: str) -> Any:
        raise TemporaryFailure("down")

    with monkeypatch.context() as patch:
        patch.setattr(alice.user.api.directory._directory, "is_local_domain", down)
        result = await alice.try_to_send(email_id)
    assert result["error"]["type"] == "serverUnavailable"
    assert [method for method, _ in stores.failures] == ["EmailSubmission/set"]
    stores.failures.clear()
    assert await bob.mail() == []

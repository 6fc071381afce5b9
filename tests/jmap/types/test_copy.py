"""Email/copy (RFC 8621 §4.7) and Blob/copy (RFC 8620 §6.3) between two accounts."""

import base64
from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = (
    b"From: a@example.org\r\nMessage-ID: <1@x>\r\nSubject: s\r\n"
    b"Received: by x; Tue, 1 Oct 2024 10:00:00 +0200\r\n\r\nbody\r\n"
)
ALICE = Principal("alice", member_of=("team", "archive"))
TEAM = Principal("team", "group", quota=3 * len(MESSAGE))
ARCHIVE = Principal("archive", "group", members_may="read")


@pytest_twisted.async_yield_fixture
async def alice(stores: LocalStores) -> Any:
    stores.directory.put(TEAM, ARCHIVE)
    yield await stores.user(ALICE, Limits(set=4, upload_quota=1000))


@pytest_twisted.async_yield_fixture
async def team(alice: LocalUser) -> Any:
    yield await alice.shared("team")


async def copy(source: LocalUser, target: LocalUser, create: Any, **arguments: Any) -> Any:
    return await target.call(
        "Email/copy", fromAccountId=source.account_id, create=create, **arguments
    )


@pytest_twisted.ensureDeferred
async def test_a_copy_is_like_its_original(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE, keywords={"$seen": True, "x": True})
    await team.add(b"Subject: other\r\n\r\n")
    inbox = await team.role("inbox")
    state = (await team.call("Email/get", ids=[]))["state"]
    result = await copy(alice, team, {"c": {"id": email_id, "mailboxIds": {inbox: True}}})
    copied = result["created"]["c"]
    assert result == {
        "fromAccountId": alice.account_id,
        "accountId": team.account_id,
        "oldState": state,
        "newState": (await team.call("Email/get", ids=[]))["state"],
        "created": {"c": copied},
        "notCreated": None,
    }
    assert copied.keys() == {"id", "blobId", "threadId", "size"}
    properties = ["keywords", "receivedAt", "size", "messageId", "preview", "blobId"]
    [original] = (await alice.call("Email/get", ids=[email_id], properties=properties))["list"]
    [found] = (await team.call("Email/get", ids=[copied["id"]], properties=properties))["list"]
    assert found == {**original, "id": copied["id"]}
    assert original["receivedAt"] == "2024-10-01T08:00:00Z"
    assert (await team.call("Email/query", filter={"body": "body"}))["ids"] == [copied["id"]]
    assert await team.download(copied["blobId"]) == MESSAGE
    # What becomes of the original is nothing to the copy.
    await alice.call("Email/set", destroy=[email_id])
    assert await team.download(copied["blobId"]) == MESSAGE


@pytest_twisted.ensureDeferred
async def test_a_copy_can_be_given_other_properties(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE, keywords={"$seen": True})
    given = {"keywords": {"$Flagged": True}, "receivedAt": "2020-02-02T02:02:02.25Z"}
    create_mailbox = ["Mailbox/set", {"create": {"m": {"name": "Copies"}}}, "0"]
    create_mailbox[1]["accountId"] = team.account_id  # type: ignore[index]
    arguments = {
        "accountId": team.account_id,
        "fromAccountId": alice.account_id,
        "create": {"c": {"id": email_id, "mailboxIds": {"#m": True}, **given}},
    }
    response = await alice.request(create_mailbox, ["Email/copy", arguments, "1"], createdIds={})
    [_, made, _], [_, copied, _] = response["methodResponses"]
    mailbox_id, copy_id = made["created"]["m"]["id"], copied["created"]["c"]["id"]
    assert response["createdIds"] == {"m": mailbox_id, "c": copy_id}
    properties = ["keywords", "receivedAt", "mailboxIds"]
    [found] = (await team.call("Email/get", ids=[copy_id], properties=properties))["list"]
    assert found["keywords"] == {"$flagged": True}
    assert found["receivedAt"] == given["receivedAt"]
    assert found["mailboxIds"] == {mailbox_id: True}


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_copied(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE)
    inbox = {await team.role("inbox"): True}
    for given, error in [
        ("x", {"type": "invalidProperties", "properties": []}),
        ({"mailboxIds": inbox}, {"type": "invalidProperties", "properties": ["id"]}),
        ({"id": 1, "mailboxIds": inbox}, {"type": "invalidProperties", "properties": ["id"]}),
        ({"id": "#x", "mailboxIds": inbox}, {"type": "invalidProperties", "properties": ["id"]}),
        ({"id": "nope", "mailboxIds": inbox}, {"type": "notFound"}),
        ({"id": email_id}, {"type": "invalidProperties", "properties": ["mailboxIds"]}),
        (
            {"id": email_id, "mailboxIds": {}},
            {"type": "invalidProperties", "properties": ["mailboxIds"]},
        ),
        (
            {"id": email_id, "mailboxIds": {"M99": True}},
            {"type": "invalidProperties", "properties": ["mailboxIds"]},
        ),
        (
            {"id": email_id, "mailboxIds": inbox, "subject": "other"},
            {"type": "invalidProperties", "properties": ["subject"]},
        ),
        (
            {"id": email_id, "mailboxIds": inbox, "keywords": None},
            {"type": "invalidProperties", "properties": ["keywords"]},
        ),
        (
            {"id": email_id, "mailboxIds": inbox, "keywords": {f"k{n}": True for n in range(101)}},
            {"type": "tooManyKeywords"},
        ),
    ]:
        result = await copy(alice, team, {"c": given}, onSuccessDestroyOriginal=True)
        assert result["created"] is None
        assert result["oldState"] == result["newState"]
        found = result["notCreated"]["c"]
        found.pop("description", None)
        assert found == error, given
    assert (await alice.call("Email/query"))["ids"] == [email_id]


@pytest_twisted.ensureDeferred
async def test_each_copy_succeeds_or_fails_by_itself(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE)
    good = {"id": email_id, "mailboxIds": {await team.role("inbox"): True}}
    result = await copy(alice, team, {"a": good, "b": {**good, "id": "nope"}, "c": good, "d": good})
    assert result["created"].keys() == {"a", "c", "d"}
    assert len({made["id"] for made in result["created"].values()}) == 3
    assert result["notCreated"].keys() == {"b"}
    result = await copy(alice, team, {"e": good})  # the quota is that of the target
    assert result["notCreated"]["e"]["type"] == "overQuota"


@pytest_twisted.ensureDeferred
async def test_calls_that_are_refused(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE)
    good = {"id": email_id, "mailboxIds": {await team.role("inbox"): True}}
    own = alice.account_id
    for arguments, error in [
        ({}, "invalidArguments"),
        ({"create": {"c": good}}, "invalidArguments"),
        ({"fromAccountId": own}, "invalidArguments"),
        ({"fromAccountId": own, "create": None}, "invalidArguments"),
        ({"fromAccountId": own, "create": {}, "update": {}}, "invalidArguments"),
        ({"fromAccountId": team.account_id, "create": {}}, "invalidArguments"),
        ({"fromAccountId": "nope", "create": {"c": good}}, "fromAccountNotFound"),
        ({"fromAccountId": own, "accountId": "nope", "create": {}}, "accountNotFound"),
        ({"fromAccountId": own, "create": {str(n): good for n in range(5)}}, "requestTooLarge"),
        ({"fromAccountId": own, "create": {"c": good}, "ifInState": "99"}, "stateMismatch"),
        ({"fromAccountId": own, "create": {"c": good}, "ifFromInState": "99"}, "stateMismatch"),
    ]:
        result = await team.call("Email/copy", **arguments)
        assert result["error"]["type"] == error, arguments
    assert (await team.call("Email/query"))["ids"] == []
    states = {
        "ifInState": (await team.call("Email/get", ids=[]))["state"],
        "ifFromInState": (await alice.call("Email/get", ids=[]))["state"],
    }
    assert (await copy(alice, team, {"c": good}, **states))["created"]
    assert (await copy(alice, team, {}))["created"] is None


async def copy_and_destroy(source: LocalUser, target: LocalUser, create: Any, **more: Any) -> Any:
    arguments = {
        "accountId": target.account_id,
        "fromAccountId": source.account_id,
        "create": create,
        "onSuccessDestroyOriginal": True,
        **more,
    }
    calls = ["Email/copy", arguments, "a"], ["Core/echo", {}, "b"]
    responses = (await source.request(*calls))["methodResponses"]
    assert responses.pop()[0] == "Core/echo"
    assert {call_id for _, _, call_id in responses} == {"a"}
    return [(name, result) for name, result, _ in responses]


@pytest_twisted.ensureDeferred
async def test_the_originals_of_copies_are_destroyed(alice: LocalUser, team: LocalUser) -> None:
    first, second = await alice.add(MESSAGE), await alice.add(MESSAGE)
    good = {"id": first, "mailboxIds": {await team.role("inbox"): True}}
    create = {"a": good, "again": good, "bad": {"id": second, "mailboxIds": {}}}
    copied, destroyed = await copy_and_destroy(alice, team, create)
    assert copied[0] == "Email/copy"
    assert copied[1]["created"].keys() == {"a", "again"}
    assert destroyed[0] == "Email/set"
    assert destroyed[1]["accountId"] == alice.account_id
    assert destroyed[1]["destroyed"] == [first]
    assert destroyed[1]["notDestroyed"] is None
    assert (await alice.call("Email/query"))["ids"] == [second]
    assert len((await team.call("Email/query"))["ids"]) == 2


@pytest_twisted.ensureDeferred
async def test_originals_that_cannot_be_destroyed_stay(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(MESSAGE)
    good = {"id": email_id, "mailboxIds": {await team.role("inbox"): True}}
    state = (await alice.call("Email/get", ids=[]))["state"]
    copied, error = await copy_and_destroy(alice, team, {"c": good}, destroyFromIfInState="99")
    assert copied[1]["created"]
    assert error[0] == "error"
    assert error[1]["type"] == "stateMismatch"
    _, destroyed = await copy_and_destroy(alice, team, {"c": good}, destroyFromIfInState=state)
    assert destroyed[1]["destroyed"] == [email_id]
    # Nothing was copied, so there is nothing to destroy.
    [(name, result)] = await copy_and_destroy(alice, team, {"c": good})
    assert name == "Email/copy"
    assert result["notCreated"]["c"]["type"] == "notFound"


@pytest_twisted.ensureDeferred
async def test_copies_from_a_read_only_account(stores: LocalStores, alice: LocalUser) -> None:
    archive = await alice.shared("archive")
    stores.directory.put(Principal("archive", "group"))
    email_id = await archive.add(MESSAGE)
    stores.directory.put(ARCHIVE)
    good = {"id": email_id, "mailboxIds": {await alice.role("inbox"): True}}
    copied, error = await copy_and_destroy(archive, alice, {"c": good})
    assert copied[1]["created"].keys() == {"c"}
    assert error == ("error", {"type": "accountReadOnly"})


async def copy_blobs(source: LocalUser, target: LocalUser, *blob_ids: str) -> Any:
    return await target.call("Blob/copy", fromAccountId=source.account_id, blobIds=blob_ids)


@pytest_twisted.ensureDeferred
async def test_blobs_are_copied(alice: LocalUser, team: LocalUser) -> None:
    blob_id = await alice.upload(b"some octets", "text/plain")
    stranger = await alice.store_blob(b"no account refers to these")
    result = await copy_blobs(alice, team, blob_id, "nope", stranger, blob_id)
    assert result == {
        "fromAccountId": alice.account_id,
        "accountId": team.account_id,
        "copied": {blob_id: blob_id},
        "notCopied": {
            "nope": {"type": "blobNotFound", "notFound": ["nope"]},
            stranger: {"type": "blobNotFound", "notFound": [stranger]},
        },
    }
    assert await team.download(blob_id) == b"some octets"
    result = await copy_blobs(team, alice, blob_id)
    assert result["notCopied"] is None
    result = await copy_blobs(alice, team, "nope")
    assert result["copied"] is None


@pytest_twisted.ensureDeferred
async def test_a_part_of_a_message_becomes_a_blob(alice: LocalUser, team: LocalUser) -> None:
    email_id = await alice.add(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(b"octets of a picture")
        + b"\r\n--b\r\n\r\nplain\r\n--b--\r\n"
    )
    [email] = (await alice.call("Email/get", ids=[email_id], properties=["bodyStructure"]))["list"]
    parts = [part["blobId"] for part in email["bodyStructure"]["subParts"]]
    result = await copy_blobs(alice, team, *parts, parts[0].replace("_b", "_q"))
    picture, plain, _ = result["copied"].values()
    assert await team.download(picture) == b"octets of a picture"
    assert await team.download(plain) == b"plain"
    assert "_" not in picture + plain
    # The message itself is none of the target's business.
    whole = parts[0].partition("_")[0]
    assert (await copy_blobs(team, alice, whole))["notCopied"].keys() == {whole}
    beyond = f"{whole}_0_99999_n"
    assert (await copy_blobs(alice, team, beyond))["notCopied"].keys() == {beyond}


@pytest_twisted.ensureDeferred
async def test_blobs_beyond_the_quota_are_not_copied(
    stores: LocalStores, alice: LocalUser, team: LocalUser
) -> None:
    large = await stores.user(ALICE, Limits())  # uploads that were taken under another limit
    blob_ids = [await large.upload(bytes([n]) * 400, "text/plain") for n in range(3)]
    result = await copy_blobs(alice, team, *blob_ids)
    assert list(result["copied"]) == blob_ids[:2]
    assert result["notCopied"][blob_ids[2]]["type"] == "overQuota"
    for blob_id in blob_ids[:2]:
        assert len(await team.download(blob_id)) == 400


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fromAccountId": "nope", "blobIds": []}, "fromAccountNotFound"),
        ({"blobIds": []}, "invalidArguments"),
        ({"fromAccountId": None}, "invalidArguments"),
        ({"fromAccountId": None, "blobIds": [1]}, "invalidArguments"),
        ({"fromAccountId": None, "blobIds": None}, "invalidArguments"),
        ({"fromAccountId": None, "blobIds": list("abcde")}, "requestTooLarge"),
        ({"fromAccountId": None, "blobIds": [], "x": 1}, "invalidArguments"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_blob_copies_that_are_refused(
    alice: LocalUser, team: LocalUser, arguments: dict[str, Any], error: str
) -> None:
    if "fromAccountId" in arguments and arguments["fromAccountId"] is None:
        arguments = {**arguments, "fromAccountId": alice.account_id}
    assert (await team.call("Blob/copy", **arguments))["error"]["type"] == error
    same = await alice.call("Blob/copy", fromAccountId=alice.account_id, blobIds=[])
    assert same["error"]["type"] == "invalidArguments"

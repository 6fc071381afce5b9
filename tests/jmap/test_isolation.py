"""Nothing of an account tells anybody else that it, or anything in it, exists.

Every method of the registry is called with what is another user's and with what was
never there, in every place where an id may stand.  Both must be answered alike.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve, frozen

from mailhive.jmap.errors import RequestError
from mailhive.jmap.registry import Registry
from mailhive.model.ids import random_id
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = b"From: bob@example.org\r\nTo: bob@example.org\r\nSubject: words\r\n\r\nhidden words\r\n"
PICTURE = b"an upload of bob's"
METHODS = Registry.load().methods
#: Those without an account: echoes, and what belongs to a user and not to an account.
WITHOUT_ACCOUNT = {"Core/echo", "PushSubscription/get", "PushSubscription/set"}
X = "X" * 8  # stands for an id in arguments


@frozen
class Others:
    """What bob has, by kind, and what nobody has: of the same form."""

    theirs: dict[str, str]
    invented: dict[str, str]


@pytest_twisted.async_yield_fixture
async def alice(stores: LocalStores) -> Any:
    """Has an account in which there is nothing but mailboxes."""
    yield await stores.user(Principal("alice", emails=("alice@example.org",)))


@pytest_twisted.async_yield_fixture
async def others(stores: LocalStores, alice: LocalUser) -> Any:
    bob = await stores.user(Principal("bob", emails=("bob@example.org", "b@example.org")))
    await bob.add(MESSAGE)
    created = await bob.call("Mailbox/set", create={"m": {"name": "secret"}})
    for keyword in ("$seen", "$flagged"):
        email = await bob.add(MESSAGE, keywords={keyword: True})
    [got] = (await bob.call("Email/get", ids=[email], properties=["blobId", "threadId"]))["list"]
    made = await bob.call("Identity/set", create={"i": {"email": "bob@example.org", "name": "B"}})
    identity = made["created"]["i"]["id"]
    sent = {"emailId": email, "identityId": identity}
    submission = await bob.call("EmailSubmission/set", create={"s": sent})
    assert submission["created"], submission
    theirs = {
        "Account": bob.account_id,
        "Mailbox": created["created"]["m"]["id"],
        "Email": email,
        "Thread": got["threadId"],
        "Identity": identity,
        "EmailSubmission": submission["created"]["s"]["id"],
        "Blob": got["blobId"],
        "Upload": await bob.upload(PICTURE, "image/png"),
    }
    invented = {kind: _invented(identifier) for kind, identifier in theirs.items()}
    invented["Account"] = random_id(theirs["Account"][0])
    assert not set(theirs.values()) & set(invented.values())
    yield Others(theirs, invented)


def _invented(identifier: str) -> str:
    """An id of the same form: an object's of a high number, or a blob's of other octets."""
    if len(identifier) < 12:
        return identifier[0] + "v" * 9
    return identifier[:-6] + "".join("a" if c != "a" else "b" for c in identifier[-6:])


def calls(alice: LocalUser, mailbox: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls of every method, with `X` where an id may stand that is not one's own."""
    for method in METHODS:
        verb = method.partition("/")[2]
        if verb == "get":
            yield method, {"ids": [X]}
        elif verb in ("changes", "queryChanges"):
            # States are numbers of this account alone.
            yield method, {"sinceState" if verb == "changes" else "sinceQueryState": "0"}
        elif verb == "set":
            yield method, {"update": {X: {"name": "n"}}}
            yield method, {"update": {X: {}}}
            yield method, {"destroy": [X]}
            yield method, {"create": {"c": {"id": X}}}
        elif verb == "query":
            yield method, {"anchor": X}
        elif verb == "copy":
            yield method, {"fromAccountId": X}
    copied = {"e": {"id": X, "mailboxIds": {mailbox: True}}}
    yield "Email/copy", {"fromAccountId": alice.account_id, "create": copied}
    yield "Blob/copy", {"fromAccountId": alice.account_id, "blobIds": [X]}
    yield "SearchSnippet/get", {"emailIds": [X], "filter": {"text": "words"}}
    yield "Email/parse", {"blobIds": [X]}
    yield "Email/import", {"emails": {"e": {"blobId": X, "mailboxIds": {mailbox: True}}}}
    yield "Email/import", {"emails": {"e": {"blobId": "none", "mailboxIds": {X: True}}}}
    yield "Email/set", {"create": {"e": {"mailboxIds": {X: True}}}}
    part = {"blobId": X, "type": "image/png"}
    for body in ({"bodyStructure": part}, {"attachments": [part]}):
        yield "Email/set", {"create": {"e": {"mailboxIds": {mailbox: True}, **body}}}
    for condition in ({"inMailbox": X}, {"inMailboxOtherThan": [X]}, {"text": "hidden"}):
        yield "Email/query", {"filter": condition, "calculateTotal": True}
        yield "Email/queryChanges", {"filter": condition, "sinceQueryState": "0", "upToId": X}
    yield "Mailbox/query", {"filter": {"parentId": X}, "calculateTotal": True}
    yield "Mailbox/queryChanges", {"sinceQueryState": "0", "upToId": X}
    yield "Mailbox/set", {"create": {"m": {"name": "n", "parentId": X}}}
    yield "Mailbox/set", {"update": {mailbox: {"parentId": X}}}
    yield "EmailSubmission/set", {"create": {"s": {"emailId": X, "identityId": X}}}
    for key in ("identityIds", "emailIds", "threadIds"):
        yield "EmailSubmission/query", {"filter": {key: [X]}, "calculateTotal": True}


def with_id(value: Any, identifier: str) -> Any:
    return json.loads(json.dumps(value).replace(X, identifier))


def without_id(value: Any, identifier: str) -> str:
    """As text, without what tells one id from another."""
    return json.dumps(value, sort_keys=True).replace(identifier, X)


def test_every_method_is_called(stores: LocalStores) -> None:
    somebody = LocalUser(None, Principal("x"), "Ax")  # type: ignore[arg-type]
    assert {method for method, _ in calls(somebody, "F1")} >= METHODS.keys() - {"Core/echo"}


@pytest_twisted.ensureDeferred
async def test_accounts(alice: LocalUser, others: Others) -> None:
    mailbox = await alice.role("inbox")
    for method, arguments in calls(alice, mailbox):
        for key in ("accountId", "fromAccountId"):
            if method in WITHOUT_ACCOUNT or (key not in arguments and key != "accountId"):
                continue
            told = []
            own = {"fromAccountId": alice.account_id} if "fromAccountId" in arguments else {}
            for found in (others.theirs["Account"], others.invented["Account"]):
                given = {**arguments, **own, key: found}
                answer = await alice.call(method, **with_id(given, "Mx"))
                assert answer["error"]["type"] == key.removesuffix("Id") + "NotFound", method
                told.append(without_id(answer, found))
            assert told[0] == told[1], method


@pytest_twisted.ensureDeferred
async def test_objects(alice: LocalUser, others: Others) -> None:
    mailbox = await alice.role("inbox")
    for method, arguments in calls(alice, mailbox):
        for kind, theirs in others.theirs.items():
            told = [
                without_id(await alice.call(method, **with_id(arguments, found)), found)
                for found in (theirs, others.invented[kind])
            ]
            assert _settled(told[0]) == _settled(told[1]), (method, arguments, kind)
            assert "hidden words" not in told[0]


def _settled(text: str) -> Any:
    """Without the states and ids of what the calls themselves have made."""
    value = json.loads(text)
    for key in ("oldState", "newState", "queryState", "state"):
        value.pop(key, None)
    created = value.get("created")
    for made in created.values() if isinstance(created, dict) else ():
        for key in ("id", "blobId", "threadId"):
            made.pop(key, None)
    return value


@pytest_twisted.ensureDeferred
async def test_blobs(alice: LocalUser, others: Others) -> None:
    """Download, under either account, and uploads into another's."""
    for kind in ("Blob", "Upload"):
        for account in (alice.account_id, others.theirs["Account"], others.invented["Account"]):
            told = []
            for blob_id in (others.theirs[kind], others.invented[kind]):
                with pytest.raises(RequestError) as caught:
                    await alice.api.blob(alice.principal, account, blob_id)
                told.append(told_by(caught.value))
            assert told[0] == told[1]
    told = []
    for account in (others.theirs["Account"], others.invented["Account"]):
        with pytest.raises(RequestError) as caught:
            await alice.api.may_upload(alice.principal, account)
        told.append(told_by(caught.value))
    assert told[0] == told[1]


def told_by(error: RequestError) -> tuple[Any, ...]:
    return str(error), vars(error)


@pytest_twisted.ensureDeferred
async def test_what_one_has_is_no_way_to_what_others_have(
    stores: LocalStores, alice: LocalUser, others: Others
) -> None:
    """The same octets are one blob; who has them in hand still learns of nobody."""
    before = await alice.call("Email/query", filter={"text": "hidden"})
    assert before["ids"] == []
    blob_id = await alice.upload(MESSAGE)
    parsed = await alice.call("Email/parse", blobIds=[blob_id], properties=["subject"])
    assert parsed["parsed"][blob_id] == {"subject": "words"}
    bob = evolve(alice, account_id=others.theirs["Account"])
    assert (await bob.call("Email/get", ids=None))["error"] == {"type": "accountNotFound"}
    session = await alice.session()
    assert list(session["accounts"]) == [alice.account_id]
    assert others.theirs["Account"] not in json.dumps(session)

"""EmailSubmission (RFC 8621 §7), on the real stores and the real outbox."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from mailhive.errors import TemporaryFailure
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.conformance.outbox import turn
from mailhive.testing.local import LocalStores

ALICE = Principal("alice", emails=("alice@example.org", "al@example.org"))
BOB = Principal("bob", emails=("bob@example.org",))
DRAFT = (
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\n"
    b"Bcc: zoe@far.example\r\nDate: Sat, 01 Mar 2025 10:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nSubject: s\r\n\r\nbody\r\n"
)
REMOTE = DRAFT.replace(b"bob@example.org", b"yan@far.example")
COPIES = (
    b"From: alice@example.org\r\nCc: y@far.example, Y@far.example\r\n"
    b"Bcc: g: z@far.example, x@far.example;\r\nTo: x@far.example, x@FAR.example\r\n"
)
LOCAL = DRAFT.replace(b"Bcc: zoe@far.example\r\n", b"")


class User:
    """What the tests do again and again."""

    def __init__(self, user: Any, identity_id: str) -> None:
        self.user = user
        self.identity_id = identity_id
        self.call = user.call

    async def draft(self, message: bytes = DRAFT) -> str:
        email_id: str = await self.user.add(message, "drafts", keywords={"$draft": True})
        return email_id

    async def try_to_send(self, email_id: str, **properties: Any) -> dict[str, Any]:
        given = {"identityId": self.identity_id, "emailId": email_id, **properties}
        result: dict[str, Any] = await self.call("EmailSubmission/set", create={"s": given})
        return result

    async def send(self, message: bytes = DRAFT, **properties: Any) -> dict[str, Any]:
        result = await self.try_to_send(await self.draft(message), **properties)
        assert result["notCreated"] is None
        created: dict[str, Any] = result["created"]["s"]
        return created

    async def refused(self, message: bytes = DRAFT, **properties: Any) -> dict[str, Any]:
        result = await self.try_to_send(await self.draft(message), **properties)
        assert result["created"] is None and result["newState"] == result["oldState"]
        error: dict[str, Any] = result["notCreated"]["s"]
        return error

    async def get(self, submission_id: str) -> dict[str, Any]:
        [found] = (await self.call("EmailSubmission/get", ids=[submission_id]))["list"]
        return found

    async def reached(self, submission_id: str, *delivered: str) -> dict[str, Any]:
        """The submission once this is so of its recipients, in order; see `_delivered`."""
        while True:
            found = await self.get(submission_id)
            if _delivered(found) == list(delivered):
                return found
            await turn()

    async def mail(self) -> list[bytes]:
        ids = (await self.call("Email/query"))["ids"]
        emails = (await self.call("Email/get", ids=ids, properties=["blobId"]))["list"]
        return [await self.user.download(email["blobId"]) for email in emails]


def _delivered(submission: dict[str, Any]) -> list[str]:
    """`delivered` of each; waiting for those queued that nobody takes."""
    return [
        "waiting" if status["smtpReply"].startswith("451 4.4.0 ") else status["delivered"]
        for status in submission["deliveryStatus"].values()
    ]


async def make(stores: Any, principal: Principal, **limits: Any) -> User:
    user = await stores.user(principal, Limits(**limits))
    identities = (await user.call("Identity/get"))["list"]
    return User(user, identities[0]["id"] if identities else "none")


@pytest_twisted.async_yield_fixture
async def bob(stores: LocalStores) -> AsyncIterator[User]:
    yield await make(stores, BOB)


@pytest_twisted.async_yield_fixture
async def alice(stores: LocalStores, bob: User) -> AsyncIterator[User]:
    yield await make(stores, ALICE)


def envelope(sender: str, *recipients: str) -> dict[str, Any]:
    return {
        "mailFrom": {"email": sender, "parameters": None},
        "rcptTo": [{"email": recipient, "parameters": None} for recipient in recipients],
    }


@pytest_twisted.ensureDeferred
async def test_what_is_sent(alice: User, bob: User) -> None:
    state = (await alice.call("EmailSubmission/get"))["state"]
    email_id = await alice.draft()
    made = (await alice.try_to_send(email_id))["created"]["s"]
    [email] = (await alice.call("Email/get", ids=[email_id]))["list"]
    queued = {"smtpReply": "250 2.0.0 Accepted, on its way", "delivered": "queued"}
    assert made == {
        "id": made["id"],
        "threadId": email["threadId"],
        "envelope": envelope("alice@example.org", "bob@example.org", "zoe@far.example"),
        "sendAt": made["sendAt"],
        "undoStatus": "pending",
        "deliveryStatus": {
            "bob@example.org": {**queued, "displayed": "unknown"},
            "zoe@far.example": {**queued, "displayed": "unknown"},
        },
        "dsnBlobIds": [],
        "mdnBlobIds": [],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["sendAt"])
    # Who is here gets it at once; who is elsewhere waits, and nobody says otherwise.
    now = await alice.reached(made["id"], "yes", "waiting")
    status = now["deliveryStatus"]
    assert status["bob@example.org"]["smtpReply"] == "250 2.1.5 Delivered"
    assert status["zoe@far.example"]["delivered"] == "queued"
    assert now == {
        **made,
        "identityId": alice.identity_id,
        "emailId": email_id,
        "undoStatus": "final",
        "deliveryStatus": status,
    }
    changes = await alice.call("EmailSubmission/changes", sinceState=state)
    assert changes["created"] == [made["id"]]
    [received] = await bob.mail()
    trace, _, rest = received.partition(b"From: Alice")
    assert b"From: Alice" + rest == LOCAL
    assert re.fullmatch(
        rb"Return-Path: <alice@example\.org>\r\n"
        rb"Received: by mail\.example\.org with HTTP id %s;\r\n\t[^\r\n]*\r\n"
        % made["id"].encode(),
        trace,
    )
    # The Email stays where it was: that is for onSuccessUpdateEmail.
    [after] = (await alice.call("Email/get", ids=[email_id]))["list"]
    assert after == email


@pytest_twisted.ensureDeferred
async def test_a_change_of_delivery_is_a_change(alice: User) -> None:
    made = await alice.send(LOCAL)
    await alice.reached(made["id"], "yes")
    state = (await alice.call("EmailSubmission/get"))["state"]
    made = await alice.send(REMOTE)
    await alice.reached(made["id"], "waiting", "waiting")
    changes = await alice.call("EmailSubmission/changes", sinceState=state, maxChanges=1)
    assert changes["created"] == [made["id"]] and not changes["hasMoreChanges"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("header", "sender", "recipients"),
    [
        (b"From: ALICE@example.org\r\nTo: x@far.example\r\n", "ALICE@example.org", "x"),
        (b"From: alice@example.org\r\nSender: s@far.example\r\nTo: x@far.example\r\n", "", "x"),
        (
            COPIES,
            "",
            "xyz",
        ),
    ],
)
async def test_the_envelope_follows_from_the_email(
    alice: User, header: bytes, sender: str, recipients: str
) -> None:
    made = await alice.send(header + b"\r\nx")
    expected = [f"{r}@far.example" for r in recipients]
    assert made["envelope"] == envelope(sender or "alice@example.org", *expected)


@pytest_twisted.ensureDeferred
async def test_an_envelope_that_is_given_is_kept(alice: User, bob: User) -> None:
    given = envelope("al@example.org", "bob@example.org")
    made = await alice.send(REMOTE, envelope=given)
    assert "envelope" not in made
    assert (await alice.reached(made["id"], "yes"))["envelope"] == given
    [received] = await bob.mail()
    assert received.startswith(b"Return-Path: <al@example.org>\r\n")
    made = await alice.send(
        REMOTE, envelope={"mailFrom": {"email": ""}, "rcptTo": [{"email": "bob@example.org"}]}
    )
    assert made["envelope"] == envelope("", "bob@example.org")
    await alice.reached(made["id"], "yes")
    assert (await bob.mail())[0].startswith(b"Return-Path: <>\r\n")


# Errors, RFC 8621 §7.5


@pytest_twisted.ensureDeferred
async def test_objects_that_are_not_there(alice: User) -> None:
    error = await alice.refused(emailId="nope")
    assert error["type"] == "invalidProperties" and error["properties"] == ["emailId"]
    error = await alice.refused(identityId="nope", emailId="#nope")
    assert error["type"] == "invalidProperties" and error["properties"] == ["emailId"]
    error = await alice.refused(identityId="nope", emailId="nope")
    assert error["properties"] == ["emailId", "identityId"]


@pytest_twisted.ensureDeferred
async def test_properties_that_are_wrong(alice: User) -> None:
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
    # There are no submission extensions that parameters could belong to.
    given = envelope("alice@example.org", "bob@example.org", "zoe@far.example")
    given["mailFrom"]["parameters"] = {"HOLDFOR": "60"}
    given["rcptTo"][1]["parameters"] = {"NOTIFY": "NEVER"}
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
async def test_invalid_email(alice: User, header: bytes, wrong: list[str]) -> None:
    error = await alice.refused(b"Subject: x\r\n" + header + b"To: x@far.example\r\n\r\nx")
    assert error["type"] == "invalidEmail" and error["properties"] == wrong


@pytest_twisted.ensureDeferred
async def test_recipients_that_are_wrong(alice: User) -> None:
    nobody = b"From: alice@example.org\r\n\r\nx"
    assert (await alice.refused(nobody))["type"] == "noRecipients"
    given = envelope("alice@example.org")
    assert (await alice.refused(envelope=given))["type"] == "noRecipients"
    wrong = ["x", "@far.example", "a b@far.example", "a@far.example> SIZE=1", "nobody@example.org"]
    given = envelope("alice@example.org", "zoe@far.example", *wrong)
    error = await alice.refused(envelope=given)
    assert error["type"] == "invalidRecipients" and error["invalidRecipients"] == wrong


@pytest_twisted.ensureDeferred
async def test_limits(stores: LocalStores, alice: User) -> None:
    email_id = await alice.draft(b"From: alice@example.org\r\nTo: a@b.example\r\n\r\n" + b"x" * 99)
    small = await make(stores, ALICE, email_size=100, recipients=2)
    error = (await small.try_to_send(email_id))["notCreated"]["s"]
    assert error["type"] == "tooLarge" and error["maxSize"] == 100
    addresses = [f"{c}@far.example" for c in "abc"]
    few = await make(stores, ALICE, recipients=2)
    given = envelope("alice@example.org", *addresses)
    error = (await few.try_to_send(email_id, envelope=given))["notCreated"]["s"]
    assert error["type"] == "tooManyRecipients" and error["maxRecipients"] == 2
    given["rcptTo"].pop()
    assert (await few.try_to_send(email_id, envelope=given))["created"]


@pytest_twisted.ensureDeferred
async def test_who_may_send(stores: LocalStores, alice: User) -> None:
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
    less = await make(stores, Principal("alice", emails=("al@example.org",)))
    assert less.identity_id == alice.identity_id
    assert (await less.try_to_send(email_id))["notCreated"]["s"]["type"] == "forbiddenFrom"
    none = await make(stores, Principal("alice"))
    error = (await none.try_to_send(email_id))["notCreated"]["s"]
    assert error["type"] == "forbiddenToSend" and error["description"]


@pytest_twisted.ensureDeferred
async def test_an_identity_for_a_whole_domain(stores: LocalStores, bob: User) -> None:
    alice = await make(stores, Principal("alice", emails=("alice@example.org", "@example.org")))
    made = await alice.call("Identity/set", create={"i": {"email": "*@example.org"}})
    identity_id = made["created"]["i"]["id"]
    sales = DRAFT.replace(b"<alice@", b"<sales@")
    sent = await alice.send(sales, identityId=identity_id)
    assert sent["envelope"]["mailFrom"]["email"] == "sales@example.org"
    error = await alice.refused(DRAFT.replace(b"<alice@", b"<bob@"), identityId=identity_id)
    assert error["type"] == "forbiddenFrom"


@pytest_twisted.ensureDeferred
async def test_nothing_is_sent_of_what_was_refused(
    stores: LocalStores, alice: User, bob: User
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
    stores: LocalStores, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
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


# onSuccessUpdateEmail, onSuccessDestroyEmail


@pytest_twisted.ensureDeferred
async def test_what_follows_a_success(alice: User) -> None:
    drafts, sent = await alice.user.role("drafts"), await alice.user.role("sent")
    update = {
        f"mailboxIds/{drafts}": None,
        f"mailboxIds/{sent}": True,
        "keywords/$draft": None,
    }
    first, second = await alice.draft(), await alice.draft(REMOTE)
    response = await alice.user.request(
        [
            "EmailSubmission/set",
            {
                "accountId": alice.user.account_id,
                "create": {
                    "a": {"identityId": alice.identity_id, "emailId": first},
                    "b": {"identityId": alice.identity_id, "emailId": second},
                    "c": {"identityId": "nope", "emailId": first},
                },
                "onSuccessUpdateEmail": {"#a": update, "#c": {"keywords/x": True}, "S1": update},
                "onSuccessDestroyEmail": ["#b", "#c", "#nope"],
            },
            "0",
        ],
        using=["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:submission"],
    )
    (name, result, call_id), (implicit, followed, same_id) = response["methodResponses"]
    assert name == "EmailSubmission/set" and result["created"].keys() == {"a", "b"}
    assert implicit == "Email/set" and call_id == same_id
    assert followed["updated"] == {first: None} and followed["destroyed"] == [second]
    assert followed["notUpdated"] is None and followed["notDestroyed"] is None
    [email] = (await alice.call("Email/get", ids=[first]))["list"]
    assert email["mailboxIds"] == {sent: True} and email["keywords"] == {}
    # The Email that is gone is sent nevertheless, and is not forgotten.
    submission = await alice.get(result["created"]["b"]["id"])
    assert submission["emailId"] == second
    assert (await alice.call("Email/get", ids=[second]))["notFound"] == [second]


@pytest_twisted.ensureDeferred
async def test_what_follows_an_update_and_a_destroy(alice: User) -> None:
    a, b = await alice.send(REMOTE), await alice.send(REMOTE)
    emails = {s["id"]: (await alice.get(s["id"]))["emailId"] for s in (a, b)}
    arguments = {
        "accountId": alice.user.account_id,
        "update": {a["id"]: {"undoStatus": "canceled"}},
        "destroy": [b["id"]],
        "onSuccessUpdateEmail": {a["id"]: {"keywords/$draft": True, "keywords/x": True}},
        "onSuccessDestroyEmail": [b["id"]],
    }
    response = await alice.user.request(["EmailSubmission/set", arguments, "0"])
    followed = response["methodResponses"][1][1]
    assert followed["updated"] == {emails[a["id"]]: None}
    assert followed["destroyed"] == [emails[b["id"]]]


@pytest_twisted.ensureDeferred
async def test_nothing_follows_a_failure(alice: User) -> None:
    arguments = {
        "accountId": alice.user.account_id,
        "create": {"s": {}},
        "onSuccessUpdateEmail": {"#s": {}},
        "onSuccessDestroyEmail": None,
    }
    response = await alice.user.request(["EmailSubmission/set", arguments, "0"])
    assert len(response["methodResponses"]) == 1
    for wrong in ({"onSuccessUpdateEmail": {"#s": 1}}, {"onSuccessDestroyEmail": {"#s": 1}}):
        result = await alice.call("EmailSubmission/set", **wrong)
        assert result["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_a_draft_and_its_submission_in_one_request(alice: User, bob: User) -> None:
    account_id, drafts = alice.user.account_id, await alice.user.role("drafts")
    draft = {
        "mailboxIds": {drafts: True},
        "keywords": {"$draft": True},
        "from": [{"email": "al+x@example.org"}],
        "to": [{"email": "bob@example.org"}],
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": "hi"}},
    }
    response = await alice.user.request(
        [
            "Identity/set",
            {"accountId": account_id, "create": {"i": {"email": "al+x@example.org"}}},
            "0",
        ],
        ["Email/set", {"accountId": account_id, "create": {"d": draft}}, "1"],
        [
            "EmailSubmission/set",
            {
                "accountId": account_id,
                "create": {"s": {"identityId": "#i", "emailId": "#d"}},
                "onSuccessDestroyEmail": ["#s"],
            },
            "2",
        ],
    )
    made = response["methodResponses"][2][1]["created"]["s"]
    await alice.reached(made["id"], "yes")
    assert await alice.mail() == [] and len(await bob.mail()) == 1


# undoStatus


@pytest_twisted.ensureDeferred
async def test_a_submission_is_canceled(stores: LocalStores, alice: User) -> None:
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
async def test_what_is_sent_cannot_be_unsent(alice: User) -> None:
    made = await alice.send()
    await alice.reached(made["id"], "yes", "waiting")
    patch = {made["id"]: {"undoStatus": "canceled"}}
    result = await alice.call("EmailSubmission/set", update=patch)
    assert result["notUpdated"][made["id"]]["type"] == "cannotUnsend"
    assert (await alice.get(made["id"]))["undoStatus"] == "final"


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_updated(alice: User) -> None:
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
    stores: LocalStores, alice: User, bob: User
) -> None:
    made = await alice.send(REMOTE)
    patch = {made["id"]: {"undoStatus": "canceled"}}
    result = await bob.call("EmailSubmission/set", update=patch, destroy=["nope"])
    assert result["notUpdated"][made["id"]]["type"] == "notFound"
    assert result["notDestroyed"]["nope"]["type"] == "notFound"
    assert (await stores.outbox.status(made["id"])).can_be_undone


@pytest_twisted.ensureDeferred
async def test_made_and_canceled_or_destroyed_in_one_call(
    stores: LocalStores, alice: User, bob: User
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
async def test_cancels_and_deliveries_that_race(alice: User, bob: User) -> None:
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


# Query


@pytest_twisted.ensureDeferred
async def test_query(alice: User) -> None:
    made = [await alice.send(REMOTE) for _ in range(3)]
    a, b, c = (submission["id"] for submission in made)
    patch = {b: {"undoStatus": "canceled"}}
    await alice.call("EmailSubmission/set", update=patch)
    other = await alice.call("Identity/set", create={"i": {"email": "alice@example.org"}})
    other_id = other["created"]["i"]["id"]
    d = (await alice.send(LOCAL, identityId=other_id))["id"]
    await alice.reached(d, "yes")
    emails = [(await alice.get(i))["emailId"] for i in (a, b, c, d)]
    first, last = made[0]["sendAt"], (await alice.get(d))["sendAt"]

    for condition, expected in (
        (None, [a, b, c, d]),
        ({}, [a, b, c, d]),
        ({"identityIds": [other_id]}, [d]),
        ({"identityIds": []}, []),
        ({"emailIds": [emails[0], emails[2], "nope"]}, [a, c]),
        ({"threadIds": [made[1]["threadId"]]}, [a, b, c, d]),
        ({"undoStatus": "pending"}, [a, c]),
        ({"undoStatus": "canceled"}, [b]),
        ({"undoStatus": "final", "identityIds": [alice.identity_id]}, []),
        ({"before": first}, []),
        ({"after": first}, [a, b, c, d]),
        ({"before": "2999-01-01T00:00:00Z", "after": last}, None),
        ({"operator": "NOT", "conditions": [{"undoStatus": "pending"}]}, [b, d]),
    ):
        result = await alice.call("EmailSubmission/query", filter=condition, calculateTotal=True)
        if expected is not None:
            assert result["ids"] == expected and result["total"] == len(expected), condition
        assert result["canCalculateChanges"] is True
    for name, keys in (
        ("emailId", emails),
        ("threadId", [0] * 4),
        ("sentAt", None),
        ("sendAt", None),
    ):
        for ascending in (True, False):
            sort = [{"property": name, "isAscending": ascending}]
            ids = (await alice.call("EmailSubmission/query", sort=sort))["ids"]
            if keys is not None:
                order = sorted(zip(keys, (a, b, c, d), strict=True), key=lambda p: p[0])
                if not ascending:
                    order = sorted(order, key=lambda p: p[0], reverse=True)
                assert ids == [i for _, i in order]
            else:
                times = [(await alice.get(i))["sendAt"] for i in ids]
                assert times == sorted(times, reverse=not ascending)
    result = await alice.call("EmailSubmission/query", sort=[{"property": "undoStatus"}])
    assert result["error"]["type"] == "unsupportedSort"
    result = await alice.call("EmailSubmission/query", filter={"x": 1})
    assert result["error"]["type"] == "unsupportedFilter"
    window = await alice.call("EmailSubmission/query", anchor=c, anchorOffset=-1, limit=2)
    assert window["ids"] == [b, c] and window["position"] == 1


@pytest_twisted.ensureDeferred
async def test_query_changes(alice: User) -> None:
    a, b = (await alice.send(REMOTE))["id"], (await alice.send(REMOTE))["id"]
    for submission_id in (a, b):
        await alice.reached(submission_id, "waiting", "waiting")
    asked = {"filter": {"undoStatus": "pending"}}
    before = await alice.call("EmailSubmission/query", **asked)
    assert before["ids"] == [a, b]
    await alice.call("EmailSubmission/set", update={a: {"undoStatus": "canceled"}})
    c = (await alice.send(REMOTE))["id"]
    changes = await alice.call(
        "EmailSubmission/queryChanges",
        **asked,
        sinceQueryState=before["queryState"],
        calculateTotal=True,
    )
    assert changes["removed"] == [a]
    assert changes["added"] == [{"id": c, "index": 1}] and changes["total"] == 2


# Crashes


@pytest_twisted.ensureDeferred
async def test_what_was_accepted_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon ends when records are durable, and before the outbox hears of it."""
    stores = LocalStores.start(tmp_path, reactor)
    bob, alice = await make(stores, BOB), await make(stores, ALICE)
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
    bob, alice = await make(stores, BOB), await make(stores, ALICE)
    await alice.reached(accepted["id"], "yes")
    assert (await alice.get(waiting["id"]))["undoStatus"] == "canceled"
    while list(await stores.outbox.blob_ids("", "z", 10)):
        await turn()
    assert len(await bob.mail()) == 1
    assert (await alice.call("EmailSubmission/query"))["ids"] == [waiting["id"], accepted["id"]]
    await stores.stop()
    assert stores.failures == []

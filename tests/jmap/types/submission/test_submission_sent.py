"""EmailSubmission/set: what is sent, to whom and by whom (RFC 8621 §7)."""

import re

import pytest
import pytest_twisted

from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import DRAFT, LOCAL, REMOTE, Sender, envelope

ALICE = Principal("alice", emails=("alice@example.org", "al@example.org"))
COPIES = (
    b"From: alice@example.org\r\nCc: y@far.example, Y@far.example\r\n"
    b"Bcc: g: z@far.example, x@far.example;\r\nTo: x@far.example, x@FAR.example\r\n"
)


@pytest_twisted.ensureDeferred
async def test_it_is_announced(alice: Sender) -> None:
    """RFC 8621 §1.3.2."""
    uri = "urn:ietf:params:jmap:submission"
    session = await alice.user.session()
    assert session["capabilities"][uri] == {}
    account = session["accounts"][alice.user.account_id]["accountCapabilities"]
    assert account[uri] == {
        "maxDelayedSend": 0,
        "submissionExtensions": {"DSN": [], "REQUIRETLS": []},
    }
    assert session["primaryAccounts"][uri] == alice.user.account_id


@pytest_twisted.ensureDeferred
async def test_get(alice: Sender) -> None:
    first, second = await alice.send(), await alice.send()
    found = await alice.call("EmailSubmission/get", properties=["emailId"])
    assert [one.keys() for one in found["list"]] == [{"id", "emailId"}] * 2
    ids = [second["id"], "nope", first["id"]]
    found = await alice.call("EmailSubmission/get", ids=ids, properties=["sendAt"])
    assert [one["id"] for one in found["list"]] == [second["id"], first["id"]]
    assert found["notFound"] == ["nope"]
    assert found["list"][0] == {"id": second["id"], "sendAt": second["sendAt"]}


@pytest_twisted.ensureDeferred
async def test_what_is_sent(alice: Sender, bob: Sender) -> None:
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
async def test_a_change_of_delivery_is_a_change(alice: Sender) -> None:
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
    alice: Sender, header: bytes, sender: str, recipients: str
) -> None:
    made = await alice.send(header + b"\r\nx")
    expected = [f"{r}@far.example" for r in recipients]
    assert made["envelope"] == envelope(sender or "alice@example.org", *expected)


@pytest_twisted.ensureDeferred
async def test_an_envelope_that_is_given_is_kept(alice: Sender, bob: Sender) -> None:
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


@pytest_twisted.ensureDeferred
async def test_an_identity_for_a_whole_domain(stores: LocalStores, bob: Sender) -> None:
    alice = await Sender.of(
        stores, Principal("alice", emails=("alice@example.org", "@example.org"))
    )
    made = await alice.call("Identity/set", create={"i": {"email": "*@example.org"}})
    identity_id = made["created"]["i"]["id"]
    sales = DRAFT.replace(b"<alice@", b"<sales@")
    sent = await alice.send(sales, identityId=identity_id)
    assert sent["envelope"]["mailFrom"]["email"] == "sales@example.org"
    error = await alice.refused(DRAFT.replace(b"<alice@", b"<bob@"), identityId=identity_id)
    assert error["type"] == "forbiddenFrom"


@pytest_twisted.ensureDeferred
async def test_a_draft_and_its_submission_in_one_request(alice: Sender, bob: Sender) -> None:
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

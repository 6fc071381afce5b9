"""onSuccessUpdateEmail and onSuccessDestroyEmail (RFC 8621 §7.5)."""

import pytest_twisted

from mailhive.testing.sender import REMOTE, Sender


@pytest_twisted.ensureDeferred
async def test_what_follows_a_success(alice: Sender) -> None:
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
async def test_what_follows_an_update_and_a_destroy(alice: Sender) -> None:
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
async def test_nothing_follows_a_failure(alice: Sender) -> None:
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

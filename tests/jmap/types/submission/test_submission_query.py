"""EmailSubmission/query and /queryChanges (RFC 8621 §7.3, §7.4)."""

import pytest_twisted

from mailhive.testing.sender import LOCAL, REMOTE, Sender


@pytest_twisted.ensureDeferred
async def test_query(alice: Sender) -> None:
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
async def test_query_changes(alice: Sender) -> None:
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

"""Foo/queryChanges (RFC 8620 §5.6), on the real store."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.registry import Registry
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser


async def add(server: LocalUser, number: int, **properties: Any) -> str:
    message = f"From: a@example.org\r\nSubject: s{number}\r\n\r\nbody\r\n".encode()
    date = f"2024-05-0{number}T00:00:00Z"
    return await server.add(message, receivedAt=date, **properties)


async def destroy(server: LocalUser, email: str) -> None:
    result = await server.call("Email/set", destroy=[email])
    assert result["destroyed"] == [email]


@pytest_twisted.ensureDeferred
async def test_the_response_says_what_was_asked(server: LocalUser) -> None:
    first = await add(server, 1)
    state = (await server.call("Email/query"))["queryState"]
    second = await add(server, 2)
    await destroy(server, first)
    result = await server.call("Email/queryChanges", sinceQueryState=state)
    assert result == {
        "accountId": server.account_id,
        "oldQueryState": state,
        "newQueryState": (await server.call("Email/query"))["queryState"],
        "removed": [first],
        "added": [{"id": second, "index": 0}],
    }
    result = await server.call("Email/queryChanges", sinceQueryState=state, calculateTotal=True)
    assert result["total"] == 1
    result = await server.call("Email/queryChanges", sinceQueryState=result["newQueryState"])
    assert result["removed"] == result["added"] == []


@pytest_twisted.ensureDeferred
async def test_every_item_counts_as_a_change(server: LocalUser) -> None:
    email = await add(server, 1)
    state = (await server.call("Email/query"))["queryState"]
    await add(server, 2)
    await destroy(server, email)
    arguments = {"sinceQueryState": state}
    result = await server.call("Email/queryChanges", **arguments, maxChanges=2)
    assert len(result["removed"]) + len(result["added"]) == 2
    for limit in (0, 1):
        result = await server.call("Email/queryChanges", **arguments, maxChanges=limit)
        assert result == {"error": {"type": "tooManyChanges"}}


@pytest_twisted.ensureDeferred
async def test_what_never_changes_is_affected_by_no_update(server: LocalUser) -> None:
    email = await add(server, 1)
    state = (await server.call("Email/query"))["queryState"]
    await server.call("Email/set", update={email: {"keywords/$seen": True}})
    arguments: dict[str, Any] = {"sinceQueryState": state, "filter": {"subject": "s1"}}
    result = await server.call("Email/queryChanges", **arguments)
    assert result["removed"] == result["added"] == []
    arguments["sort"] = [{"property": "hasKeyword", "keyword": "work"}]
    result = await server.call("Email/queryChanges", **arguments)
    assert (result["removed"], result["added"]) == ([email], [{"id": email, "index": 0}])


@pytest_twisted.ensureDeferred
async def test_up_to_id_counts_for_what_never_changes(server: LocalUser) -> None:
    known = await add(server, 3)
    state = (await server.call("Email/query"))["queryState"]
    after, before = await add(server, 1), await add(server, 5)
    arguments: dict[str, Any] = {"sinceQueryState": state, "upToId": known}
    for sort in ([{"property": "receivedAt", "isAscending": False}], [{"property": "sentAt"}]):
        result = await server.call("Email/queryChanges", **arguments, sort=sort)
        assert result["added"] == [{"id": before, "index": 0}]
    inbox = {"inMailbox": await server.role("inbox")}
    result = await server.call("Email/queryChanges", **arguments, filter=inbox)
    assert [item["id"] for item in result["added"]] == [before, after]
    await destroy(server, known)
    result = await server.call("Email/queryChanges", **arguments)
    assert [item["id"] for item in result["added"]] == [before, after]


@pytest_twisted.ensureDeferred
async def test_counts_of_a_mailbox_change_no_results(server: LocalUser) -> None:
    sort = [{"property": "name"}]
    found = await server.call("Mailbox/query", sort=sort)
    await add(server, 1)
    inbox = await server.role("inbox")
    arguments = {"sort": sort, "sinceQueryState": found["queryState"]}
    result = await server.call("Mailbox/queryChanges", **arguments)
    assert result["removed"] == result["added"] == []
    await server.call("Mailbox/set", update={inbox: {"sortOrder": 1}})
    result = await server.call("Mailbox/queryChanges", **arguments)
    assert result["removed"] == [inbox]
    assert result["added"] == [{"id": inbox, "index": found["ids"].index(inbox)}]


@pytest.mark.parametrize("method", ["Email/queryChanges", "Mailbox/queryChanges"])
@pytest.mark.parametrize("state", ["", "x", "-1", "99999", "9" * 40])
@pytest_twisted.ensureDeferred
async def test_a_state_never_given_out_is_refused(
    server: LocalUser, method: str, state: str
) -> None:
    result = await server.call(method, sinceQueryState=state)
    assert result["error"]["type"] == "cannotCalculateChanges"


@pytest_twisted.ensureDeferred
async def test_bad_arguments_are_refused(server: LocalUser) -> None:
    for method in ("Email/queryChanges", "Mailbox/queryChanges"):
        for arguments, error in (
            ({}, "invalidArguments"),
            ({"sinceQueryState": "0", "maxChanges": -1}, "invalidArguments"),
            ({"sinceQueryState": "0", "position": 1}, "invalidArguments"),
            ({"sinceQueryState": "0", "filter": {"nope": 1}}, "unsupportedFilter"),
            ({"sinceQueryState": "0", "sort": [{"property": "nope"}]}, "unsupportedSort"),
        ):
            result = await server.call(method, **arguments)
            assert result["error"]["type"] == error


@pytest_twisted.ensureDeferred
async def test_each_query_that_says_so_can_tell_its_changes(stores: LocalStores) -> None:
    """`canCalculateChanges` is true for the methods that there are, and for no other."""
    server = await stores.user(Principal("bob", emails=("bob@example.org",)))
    methods = Registry.load().methods
    queries = [name for name in methods if name.endswith("/query")]
    assert {"Email/query", "Mailbox/query"} <= set(queries)
    for name in queries:
        found = await server.call(name)
        assert found["canCalculateChanges"] is (f"{name}Changes" in methods)
        if found["canCalculateChanges"]:
            changes = await server.call(f"{name}Changes", sinceQueryState=found["queryState"])
            assert changes["newQueryState"] == found["queryState"]

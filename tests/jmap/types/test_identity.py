"""Identity (RFC 8621 §6), on the real stores."""

from typing import Any

import pytest_twisted

from mailhive.model.principal import Principal


@pytest_twisted.ensureDeferred
async def test_get(stores: Any) -> None:
    alice = await stores.user(
        Principal("alice", description="Alice A.", emails=("alice@example.org", "al@example.org"))
    )
    result = await alice.call("Identity/get")
    first, second = result["list"]
    assert first == {
        "id": first["id"],
        "name": "Alice A.",
        "email": "alice@example.org",
        "replyTo": None,
        "bcc": None,
        "textSignature": "",
        "htmlSignature": "",
        "mayDelete": False,
    }
    assert second["email"] == "al@example.org" and second["mayDelete"]
    result = await alice.call("Identity/get", ids=[first["id"], "nope"], properties=["email"])
    assert result["list"] == [{"id": first["id"], "email": "alice@example.org"}]
    assert result["notFound"] == ["nope"]


@pytest_twisted.ensureDeferred
async def test_create(server: Any) -> None:
    state = (await server.call("Identity/get"))["state"]
    given = {
        "email": "Alice+work@example.org",
        "name": "Work",
        "bcc": [{"name": None, "email": "archive@example.net"}],
    }
    result = await server.call("Identity/set", create={"i": given}, ifInState=state)
    made = result["created"]["i"]
    assert made == {
        "id": made["id"],
        "replyTo": None,
        "textSignature": "",
        "htmlSignature": "",
        "mayDelete": True,
    }
    [identity] = (await server.call("Identity/get", ids=[made["id"]]))["list"]
    assert identity == {**given, **made}
    changes = await server.call("Identity/changes", sinceState=state)
    assert changes["created"] == [made["id"]] and changes["newState"] == result["newState"]


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_created(server: Any) -> None:
    result = await server.call(
        "Identity/set",
        create={
            "other": {"email": "bob@example.org"},
            "domain": {"email": "*@example.org"},
            "none": {"name": "x"},
            "bad": {"email": "alice", "name": 1, "replyTo": ["x"], "mayDelete": True, "x": 1},
            "no object": 3,
        },
    )
    assert result["error"]["type"] == "invalidArguments"  # a creation id is an Id
    result = await server.call(
        "Identity/set",
        create={
            "other": {"email": "bob@example.org"},
            "domain": {"email": "*@example.org"},
            "none": {"name": "x"},
            "bad": {"email": "alice", "name": 1, "replyTo": ["x"], "mayDelete": True, "x": 1},
            "number": 3,
        },
    )
    errors = result["notCreated"]
    assert errors["other"]["type"] == errors["domain"]["type"] == "forbiddenFrom"
    assert errors["none"]["type"] == "invalidProperties"
    assert errors["none"]["properties"] == ["email"]
    assert set(errors["bad"]["properties"]) == {"email", "name", "replyTo", "mayDelete", "x"}
    assert errors["number"]["type"] == "invalidProperties"


@pytest_twisted.ensureDeferred
async def test_the_owner_of_a_catch_all_may_be_anybody_there(stores: Any) -> None:
    await stores.user(Principal("bob", emails=("bob@example.org",)))
    alice = await stores.user(Principal("alice", emails=("alice@example.org", "@example.org")))
    result = await alice.call(
        "Identity/set",
        create={
            "any": {"email": "*@example.org"},
            "one": {"email": "sales@example.org"},
            "bob": {"email": "bob@example.org"},
        },
    )
    assert result["created"].keys() == {"any", "one"}
    assert result["notCreated"]["bob"]["type"] == "forbiddenFrom"


@pytest_twisted.ensureDeferred
async def test_update(server: Any) -> None:
    [identity] = (await server.call("Identity/get"))["list"]
    identity_id = identity["id"]
    patch = {"name": "A", "textSignature": "-- \nA", "email": "alice@example.org"}
    result = await server.call("Identity/set", update={identity_id: patch})
    assert result["updated"] == {identity_id: None} and result["newState"] != result["oldState"]
    result = await server.call("Identity/set", update={identity_id: {"name": None}})
    assert result["updated"] == {identity_id: None}
    [now] = (await server.call("Identity/get"))["list"]
    assert now == {**identity, "textSignature": "-- \nA"}
    result = await server.call("Identity/set", update={identity_id: {"name": ""}})
    assert result["newState"] == result["oldState"]
    for patch in ({"email": "al@example.org"}, {"mayDelete": True}, {"bcc": {}}, {"nope": 1}):
        result = await server.call("Identity/set", update={identity_id: patch})
        error = result["notUpdated"][identity_id]
        assert error["type"] == "invalidProperties" and error["properties"] == [*patch]
    result = await server.call("Identity/set", update={"nope": {"name": "x"}})
    assert result["notUpdated"]["nope"]["type"] == "notFound"


@pytest_twisted.ensureDeferred
async def test_the_identity_of_the_primary_address_stays(server: Any) -> None:
    [primary] = (await server.call("Identity/get"))["list"]
    made = await server.call("Identity/set", create={"i": {"email": "alice@example.org"}})
    other = made["created"]["i"]["id"]
    result = await server.call("Identity/set", destroy=[primary["id"], other, "nope"])
    assert result["destroyed"] == [other]
    assert result["notDestroyed"][primary["id"]]["type"] == "forbidden"
    assert result["notDestroyed"]["nope"]["type"] == "notFound"


@pytest_twisted.ensureDeferred
async def test_members_of_a_group_may_send_as_the_group(stores: Any) -> None:
    stores.directory.put(Principal("team", "group", emails=("team@example.org",)))
    member = Principal("alice", emails=("alice@example.org",), member_of=("team",))
    team = await (await stores.user(member)).shared("team")
    [identity] = (await team.call("Identity/get"))["list"]
    assert identity["email"] == "team@example.org"
    result = await team.call(
        "Identity/set",
        create={"g": {"email": "team@example.org"}, "a": {"email": "alice@example.org"}},
    )
    assert result["created"].keys() == {"g"}
    assert result["notCreated"]["a"]["type"] == "forbiddenFrom"


@pytest_twisted.ensureDeferred
async def test_who_may_only_read_changes_nothing(stores: Any) -> None:
    stores.directory.put(
        Principal("board", "group", emails=("board@example.org",), members_may="read")
    )
    member = Principal("alice", emails=("alice@example.org",), member_of=("board",))
    board = await (await stores.user(member)).shared("board")
    assert len((await board.call("Identity/get"))["list"]) == 1
    for method in ("Identity/set", "EmailSubmission/set"):
        assert (await board.call(method, create={}))["error"]["type"] == "accountReadOnly"

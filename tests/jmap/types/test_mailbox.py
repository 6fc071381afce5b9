"""Mailbox (RFC 8621 §2), on the real store."""

from typing import Any

import pytest
import pytest_twisted

MESSAGE = b"From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n"


async def create(server: Any, name: str, **properties: Any) -> str:
    result = await server.call("Mailbox/set", create={"m": {"name": name, **properties}})
    mailbox_id: str = result["created"]["m"]["id"]
    return mailbox_id


@pytest_twisted.ensureDeferred
async def test_a_new_account_has_the_usual_mailboxes(server: Any) -> None:
    result = await server.call("Mailbox/get")
    by_role = {m["role"]: m for m in result["list"]}
    assert by_role.keys() == {"inbox", "drafts", "sent", "archive", "junk", "trash"}
    inbox = by_role["inbox"]
    assert inbox == {
        "id": inbox["id"],
        "name": "Inbox",
        "parentId": None,
        "role": "inbox",
        "sortOrder": 10,
        "totalEmails": 0,
        "unreadEmails": 0,
        "totalThreads": 0,
        "unreadThreads": 0,
        "myRights": {
            "mayReadItems": True,
            "mayAddItems": True,
            "mayRemoveItems": True,
            "maySetSeen": True,
            "maySetKeywords": True,
            "mayCreateChild": True,
            "mayRename": True,
            "mayDelete": False,
            "maySubmit": True,
        },
        "isSubscribed": True,
    }


@pytest_twisted.ensureDeferred
async def test_get_some_properties_of_some(server: Any) -> None:
    inbox = await server.role("inbox")
    result = await server.call(
        "Mailbox/get", ids=[inbox, "nope", inbox], properties=["name", "unreadThreads"]
    )
    assert result["list"] == [{"id": inbox, "name": "Inbox", "unreadThreads": 0}]
    assert result["notFound"] == ["nope"]
    result = await server.call("Mailbox/get", ids=[])
    assert result["list"] == [] and result["notFound"] == []
    result = await server.call("Mailbox/get", properties=["nope"])
    assert result["error"]["type"] == "invalidArguments"
    result = await server.call("Mailbox/get", ids="x")
    assert result["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_create_answers_what_was_not_sent(server: Any) -> None:
    result = await server.call("Mailbox/set", create={"m": {"name": "New", "sortOrder": 7}})
    made = result["created"]["m"]
    assert made.keys() == {
        "id", "parentId", "role", "isSubscribed", "myRights",
        "totalEmails", "unreadEmails", "totalThreads", "unreadThreads",
    }  # fmt: skip
    assert result["oldState"] != result["newState"]
    assert result["updated"] is None and result["notCreated"] is None
    got = await server.call("Mailbox/get", ids=[made["id"]])
    assert got["list"][0] == {"name": "New", "sortOrder": 7, **made}
    assert got["state"] == result["newState"]


@pytest_twisted.ensureDeferred
async def test_children_may_come_before_their_parents(server: Any) -> None:
    result = await server.call(
        "Mailbox/set",
        create={
            "c": {"name": "child", "parentId": "#b"},
            "b": {"name": "middle", "parentId": "#a"},
            "a": {"name": "top"},
            "x": {"name": "x", "parentId": "#y"},
            "y": {"name": "y", "parentId": "#x"},
        },
    )
    assert result["created"].keys() == {"a", "b", "c"}
    assert {k: v["type"] for k, v in result["notCreated"].items()} == {
        "x": "invalidProperties",
        "y": "invalidProperties",
    }
    got = await server.call("Mailbox/get", ids=[result["created"]["c"]["id"]])
    assert got["list"][0]["parentId"] == result["created"]["b"]["id"]


@pytest_twisted.ensureDeferred
async def test_what_is_not_there_yet_is_named_by_reference_only(server: Any) -> None:
    create = {"a": {"name": "A"}, "b": {"name": "B", "parentId": "new-a"}}
    result = await server.call("Mailbox/set", create=create)
    assert result["created"].keys() == {"a"}
    assert result["notCreated"]["b"]["properties"] == ["parentId"]


@pytest.mark.parametrize(
    ("mailbox", "type_", "properties"),
    [
        ({}, "invalidProperties", ["name"]),
        ({"name": ""}, "invalidProperties", ["name"]),
        ({"name": "a\nb"}, "invalidProperties", ["name"]),
        ({"name": "é" * 101}, "invalidProperties", ["name"]),
        ({"name": "x", "parentId": "nope"}, "invalidProperties", ["parentId"]),
        ({"name": "x", "parentId": "#nope"}, "invalidProperties", ["parentId"]),
        ({"name": "x", "role": "nope"}, "invalidProperties", ["role"]),
        ({"name": "x", "role": "trash"}, "invalidProperties", ["role"]),
        ({"name": "x", "role": "inbox"}, "invalidProperties", ["role"]),
        ({"name": "x", "sortOrder": -1, "isSubscribed": 1}, "invalidProperties", None),
        ({"name": "x", "id": "M9", "totalEmails": 0}, "invalidProperties", ["id", "totalEmails"]),
        ({"name": "x", "nope": 0}, "invalidProperties", ["nope"]),
        ({"name": "Inbox"}, "alreadyExists", ["name"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_created(
    server: Any, mailbox: Any, type_: str, properties: list[str] | None
) -> None:
    result = await server.call("Mailbox/set", create={"m": mailbox})
    assert result["created"] is None
    assert result["oldState"] == result["newState"]
    error = result["notCreated"]["m"]
    assert error["type"] == type_
    assert error["properties"] == (properties or ["sortOrder", "isSubscribed"])


@pytest_twisted.ensureDeferred
async def test_two_mailboxes_swap_their_names(server: Any) -> None:
    a, b = await create(server, "A"), await create(server, "B")
    result = await server.call("Mailbox/set", update={a: {"name": "B"}, b: {"name": "A"}})
    assert result["updated"] == {a: None, b: None}
    got = await server.call("Mailbox/get", ids=[a, b], properties=["name"])
    assert [m["name"] for m in got["list"]] == ["B", "A"]
    # One of the two is not possible, so the other has to fit the state it finds.
    result = await server.call(
        "Mailbox/set", update={a: {"name": "A"}, b: {"name": "B", "sortOrder": "x"}}
    )
    assert result["notUpdated"][a]["type"] == "alreadyExists"
    assert result["notUpdated"][b]["type"] == "invalidProperties"


@pytest_twisted.ensureDeferred
async def test_a_name_is_free_once_its_mailbox_goes(server: Any) -> None:
    old = await create(server, "Name")
    result = await server.call("Mailbox/set", create={"m": {"name": "Name"}}, destroy=[old])
    assert result["created"] and result["destroyed"] == [old]


@pytest_twisted.ensureDeferred
async def test_updates_that_are_refused(server: Any) -> None:
    a = await create(server, "A")
    b = await create(server, "B", parentId=a)
    inbox = await server.role("inbox")
    result = await server.call(
        "Mailbox/set",
        update={
            a: {"parentId": b},
            b: {"totalEmails": 0, "id": b, "myRights/mayDelete": True},
            inbox: {"role": None},
            "nope": {"name": "x"},
        },
    )
    assert result["updated"] == {b: None}
    errors = {i: (e["type"], e.get("properties")) for i, e in result["notUpdated"].items()}
    assert errors == {
        a: ("invalidProperties", ["parentId"]),
        inbox: ("invalidProperties", ["role"]),
        "nope": ("notFound", None),
    }
    result = await server.call(
        "Mailbox/set", update={b: {"totalEmails": 3, "name/x": 1}, a: {"name": None}}
    )
    assert result["notUpdated"][b]["type"] == "invalidPatch"
    assert result["notUpdated"][a]["properties"] == ["name"]
    (mailbox,) = (await server.call("Mailbox/get", ids=[b]))["list"]
    wrong = {**mailbox, "unreadThreads": 3, "myRights": {**mailbox["myRights"], "mayRename": False}}
    result = await server.call("Mailbox/set", update={b: wrong})
    assert result["notUpdated"][b] == {
        "type": "invalidProperties",
        "properties": ["myRights/mayRename", "unreadThreads"],
    }


@pytest_twisted.ensureDeferred
async def test_destroying(server: Any) -> None:
    parent = await create(server, "P")
    child = await create(server, "C", parentId=parent)
    full = await create(server, "F")
    blob_id = await server.upload(MESSAGE)
    inbox = await server.role("inbox")
    imported = await server.call(
        "Email/import",
        emails={
            "one": {"blobId": blob_id, "mailboxIds": {full: True}},
            "two": {"blobId": blob_id, "mailboxIds": {full: True, inbox: True}},
        },
    )
    ids = {c: e["id"] for c, e in imported["created"].items()}
    result = await server.call("Mailbox/set", destroy=[parent, full, "nope", inbox])
    assert {i: e["type"] for i, e in result["notDestroyed"].items()} == {
        parent: "mailboxHasChild",
        full: "mailboxHasEmail",
        "nope": "notFound",
        inbox: "forbidden",
    }
    result = await server.call(
        "Mailbox/set", destroy=[parent, child, full], onDestroyRemoveEmails=True
    )
    assert set(result["destroyed"]) == {parent, child, full}
    assert result["notDestroyed"] is None
    got = await server.call("Email/get", ids=list(ids.values()), properties=["mailboxIds"])
    assert got["list"] == [{"id": ids["two"], "mailboxIds": {inbox: True}}]
    assert got["notFound"] == [ids["one"]]


@pytest_twisted.ensureDeferred
async def test_update_and_destroy_of_one_mailbox(server: Any) -> None:
    a = await create(server, "A")
    result = await server.call("Mailbox/set", update={a: {"name": "B"}}, destroy=[a])
    assert result["destroyed"] == [a]
    assert result["notUpdated"][a]["type"] == "willDestroy"


@pytest_twisted.ensureDeferred
async def test_if_in_state_and_limits(server: Any) -> None:
    state = (await server.call("Mailbox/get", ids=[]))["state"]
    result = await server.call("Mailbox/set", ifInState="x", create={"m": {"name": "N"}})
    assert result["error"]["type"] == "stateMismatch"
    result = await server.call("Mailbox/set", ifInState=state, create={"m": {"name": "N"}})
    assert result["created"]
    many = {f"m{i}": {"name": str(i)} for i in range(501)}
    assert (await server.call("Mailbox/set", create=many))["error"]["type"] == "requestTooLarge"


@pytest_twisted.ensureDeferred
async def test_changes_tell_counts_from_the_rest(server: Any) -> None:
    inbox = await server.role("inbox")
    state = (await server.call("Mailbox/get", ids=[]))["state"]
    await server.add(MESSAGE)
    changes = await server.call("Mailbox/changes", sinceState=state)
    assert changes["updated"] == [inbox]
    assert changes["updatedProperties"] == [
        "totalEmails", "unreadEmails", "totalThreads", "unreadThreads",
    ]  # fmt: skip
    await server.call("Mailbox/set", update={inbox: {"name": "In"}})
    changes = await server.call("Mailbox/changes", sinceState=state)
    assert changes["updatedProperties"] is None
    assert changes["hasMoreChanges"] is False
    state = changes["newState"]
    await server.add(MESSAGE)
    made = await create(server, "Made")
    changes = await server.call("Mailbox/changes", sinceState=state)
    assert (changes["created"], changes["updated"]) == ([made], [inbox])
    assert changes["updatedProperties"] is None
    for bad in ("x", "99999999", ""):
        result = await server.call("Mailbox/changes", sinceState=bad)
        assert result["error"]["type"] == "cannotCalculateChanges"
    result = await server.call("Mailbox/changes", sinceState=state, maxChanges=0)
    assert result["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_queries(server: Any) -> None:
    a = await create(server, "Beta", sortOrder=1)
    b = await create(server, "alpha", parentId=a, sortOrder=2)
    c = await create(server, "Zeta", parentId=b, isSubscribed=False)
    names = {a: "Beta", b: "alpha", c: "Zeta"}

    async def query(**arguments: Any) -> list[str]:
        result = await server.call("Mailbox/query", **arguments)
        return [names[i] for i in result["ids"] if i in names]

    by_name = [{"property": "name"}]
    assert await query(sort=by_name) == ["alpha", "Beta", "Zeta"]
    assert await query(sort=by_name, sortAsTree=True) == ["Beta", "alpha", "Zeta"]
    assert await query(filter={"parentId": None}) == ["Beta"]
    assert await query(filter={"parentId": a}) == ["alpha"]
    assert await query(filter={"name": "ETA"}, sort=by_name) == ["Beta", "Zeta"]
    assert await query(filter={"name": "eta"}, filterAsTree=True) == ["Beta"]
    assert await query(filter={"isSubscribed": False}) == ["Zeta"]
    assert await query(filter={"hasAnyRole": False, "name": "a"}, sort=by_name, limit=1) == [
        "alpha"
    ]
    result = await server.call("Mailbox/query", filter={"role": "inbox"}, calculateTotal=True)
    assert result["total"] == 1
    assert "total" not in await server.call("Mailbox/query")
    result = await server.call("Mailbox/query", anchor="nope")
    assert result["error"]["type"] == "anchorNotFound"
    result = await server.call("Mailbox/query", filter={"nope": 1})
    assert result["error"]["type"] == "unsupportedFilter"

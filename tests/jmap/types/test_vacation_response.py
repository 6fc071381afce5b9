"""VacationResponse/get and /set (RFC 8621 §8)."""

from typing import Any

import pytest_twisted

from mailhive.jmap.types.vacation import MAX_SIZE

URI = "urn:ietf:params:jmap:vacationresponse"
NOTHING_SET: dict[str, Any] = {
    "id": "singleton",
    "isEnabled": False,
    "fromDate": None,
    "toDate": None,
    "subject": None,
    "textBody": None,
    "htmlBody": None,
}
ALL_SET = {
    "isEnabled": True,
    "fromDate": "2026-03-01T00:00:00Z",
    "toDate": "2026-03-15T00:00:00.5Z",
    "subject": "Grüße",
    "textBody": " text\r\n",
    "htmlBody": "<p>html</p>",
}


@pytest_twisted.ensureDeferred
async def test_it_is_announced(server):
    session = await server.session()
    assert session["capabilities"][URI] == {}
    account = session["accounts"][server.account_id]
    assert account["accountCapabilities"][URI] == {}
    assert session["primaryAccounts"][URI] == server.account_id


@pytest_twisted.ensureDeferred
async def test_there_is_one_before_anybody_sets_it(server):
    for ids in (None, ["singleton"]):
        found = await server.call("VacationResponse/get", ids=ids)
        assert (found["list"], found["notFound"]) == ([NOTHING_SET], [])
    found = await server.call(
        "VacationResponse/get", ids=["x", "singleton"], properties=["isEnabled"]
    )
    assert found["list"] == [{"id": "singleton", "isEnabled": False}]
    assert found["notFound"] == ["x"]
    assert (await server.call("VacationResponse/get", ids=["x"]))["list"] == []


@pytest_twisted.ensureDeferred
async def test_it_comes_back_as_it_was_sent(server):
    before = await server.call("VacationResponse/get")
    done = await server.call("VacationResponse/set", update={"singleton": ALL_SET})
    assert done["updated"] == {"singleton": None}
    assert done["oldState"] == before["state"] != done["newState"]
    after = await server.call("VacationResponse/get")
    assert after["list"] == [{"id": "singleton", **ALL_SET}]
    assert after["state"] == done["newState"]
    done = await server.call(
        "VacationResponse/set", update={"singleton": {"subject": None, "isEnabled": False}}
    )
    assert done["updated"] == {"singleton": None}
    [found] = (await server.call("VacationResponse/get"))["list"]
    assert found == {"id": "singleton", **ALL_SET, "subject": None, "isEnabled": False}


@pytest_twisted.ensureDeferred
async def test_what_does_not_differ_changes_no_state(server):
    for patch in ({}, {"isEnabled": False, "subject": None}, {"id": "singleton"}):
        done = await server.call("VacationResponse/set", update={"singleton": patch})
        assert done["updated"] == {"singleton": None}
        assert done["oldState"] == done["newState"]


@pytest_twisted.ensureDeferred
async def test_it_is_neither_made_nor_destroyed(server):
    done = await server.call(
        "VacationResponse/set",
        create={"new": {"isEnabled": True}},
        update={"other": {"isEnabled": True}},
        destroy=["singleton", "another"],
    )
    assert done["notCreated"]["new"]["type"] == "singleton"
    assert done["notUpdated"]["other"]["type"] == "notFound"
    assert done["notDestroyed"]["singleton"]["type"] == "singleton"
    assert done["notDestroyed"]["another"]["type"] == "notFound"
    assert done["oldState"] == done["newState"]


@pytest_twisted.ensureDeferred
async def test_wrong_values(server):
    for patch, at_fault in (
        ({"isEnabled": "yes"}, ["isEnabled"]),
        ({"fromDate": "2026-03-01"}, ["fromDate"]),
        ({"toDate": "2026-03-01T00:00:00+01:00"}, ["toDate"]),
        ({"subject": 1, "textBody": []}, ["subject", "textBody"]),
        ({"htmlBody": False}, ["htmlBody"]),
        ({"id": "other"}, ["id"]),
        ({"unknown": 1}, ["unknown"]),
    ):
        done = await server.call("VacationResponse/set", update={"singleton": patch})
        error = done["notUpdated"]["singleton"]
        assert (error["type"], error["properties"]) == ("invalidProperties", at_fault)
    long = {"textBody": "x" * MAX_SIZE, "subject": "x"}
    done = await server.call("VacationResponse/set", update={"singleton": long})
    assert done["notUpdated"]["singleton"]["type"] == "tooLarge"
    assert (await server.call("VacationResponse/get"))["list"] == [NOTHING_SET]


@pytest_twisted.ensureDeferred
async def test_if_in_state(server):
    state = (await server.call("VacationResponse/get"))["state"]
    update = {"singleton": {"isEnabled": True}}
    done = await server.call("VacationResponse/set", ifInState=state, update=update)
    assert done["updated"] == {"singleton": None}
    again = await server.call("VacationResponse/set", ifInState=state, update=update)
    assert again["error"]["type"] == "stateMismatch"

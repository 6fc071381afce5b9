"""Whole requests: order, errors, session state (RFC 8620 §2, §3)."""

import json
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve

from mailhive.jmap.errors import RequestError
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import DataType, Registry
from mailhive.jmap.session import SessionUrls
from mailhive.model.principal import Principal

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
URLS = SessionUrls("http://x/api", "http://x/d/{accountId}", "http://x/u", "http://x/e")


@pytest_twisted.ensureDeferred
async def test_the_session_object(server: Any) -> None:
    session = json.loads(await server.api.session(server.principal, URLS))
    account_id = server.account_id
    assert session.keys() == {
        "capabilities", "accounts", "primaryAccounts", "username",
        "apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl", "state",
    }  # fmt: skip
    assert session["username"] == "alice"
    assert session["primaryAccounts"][MAIL] == account_id
    assert set(session["primaryAccounts"].values()) == {account_id}
    assert CORE not in session["primaryAccounts"]
    assert session["capabilities"][MAIL] == {}
    assert session["capabilities"][CORE] == {
        "maxSizeUpload": 30_000_000,
        "maxConcurrentUpload": 4,
        "maxSizeRequest": 10_000_000,
        "maxConcurrentRequests": 4,
        "maxCallsInRequest": 16,
        "maxObjectsInGet": 500,
        "maxObjectsInSet": 500,
        "collationAlgorithms": ["i;ascii-casemap", "i;ascii-numeric", "i;unicode-casemap"],
    }
    account = session["accounts"][account_id]
    assert (account["name"], account["isPersonal"], account["isReadOnly"]) == ("alice", True, False)
    assert account["accountCapabilities"][MAIL].keys() == {
        "maxMailboxesPerEmail", "maxMailboxDepth", "maxSizeMailboxName",
        "maxSizeAttachmentsPerEmail", "emailQuerySortOptions", "mayCreateTopLevelMailbox",
    }  # fmt: skip


@pytest_twisted.ensureDeferred
async def test_the_session_state_follows_the_session(server: Any, stores: Any) -> None:
    response = await server.request(["Core/echo", {}, "c"])
    session = json.loads(await server.api.session(server.principal, URLS))
    assert response["sessionState"] == session["state"]
    renamed = Principal("alice", emails=("a@example.org",), description="x")
    assert json.loads(await server.api.session(renamed, URLS))["state"] == session["state"]
    other = await stores.user(server.principal, Limits(get=7))
    assert json.loads(await other.api.session(other.principal, URLS))["state"] != session["state"]


@pytest_twisted.ensureDeferred
async def test_the_request_of_rfc_8620_3_4(server: Any) -> None:
    response = await server.request(
        ["Core/echo", {"arg1": "arg1data", "arg2": "arg2data"}, "c1"],
        ["Core/echo", {"arg1": "arg1data"}, "c2"],
        ["method3", {}, "c3"],
    )
    assert response["methodResponses"] == [
        ["Core/echo", {"arg1": "arg1data", "arg2": "arg2data"}, "c1"],
        ["Core/echo", {"arg1": "arg1data"}, "c2"],
        ["error", {"type": "unknownMethod"}, "c3"],
    ]
    assert isinstance(response["sessionState"], str)
    assert "createdIds" not in response


@pytest_twisted.ensureDeferred
async def test_a_capability_that_is_not_used_gives_no_methods(server: Any) -> None:
    calls = [["Core/echo", {}, "a"], ["Mailbox/get", {"accountId": server.account_id}, "b"]]
    for using, expected in (
        ([], ["error", "error"]),
        ([CORE], ["Core/echo", "error"]),
        ([CORE, MAIL], ["Core/echo", "Mailbox/get"]),
    ):
        response = await server.request(*calls, using=using)
        assert [r[0] for r in response["methodResponses"]] == expected


@pytest_twisted.ensureDeferred
async def test_requests_that_are_refused_whole(server: Any) -> None:
    for body, kind, limit in (
        ({"using": ["urn:nope"], "methodCalls": []}, "unknownCapability", None),
        (
            {"using": [CORE], "methodCalls": [["Core/echo", {}, "c"]] * 17},
            "limit",
            "maxCallsInRequest",
        ),
    ):
        with pytest.raises(RequestError) as caught:
            await server.api.handle(server.principal, json.dumps(body).encode())
        assert (caught.value.kind, caught.value.limit) == (kind, limit)


@pytest_twisted.ensureDeferred
async def test_accounts_out_of_reach(server: Any, stores: Any) -> None:
    bobs = (await stores.user(Principal("bob"))).account_id
    for arguments, error in (
        ({}, "invalidArguments"),
        ({"accountId": None}, "invalidArguments"),
        ({"accountId": "nope"}, "accountNotFound"),
        ({"accountId": bobs}, "accountNotFound"),
    ):
        response = await server.request(["Mailbox/get", arguments, "c"])
        assert response["methodResponses"][0][1]["type"] == error
    for refused in (
        server.api.blob(server.principal, bobs, "b"),
        server.api.may_upload(server.principal, bobs),
        server.api.blob(server.principal, server.account_id, "nope"),
    ):
        with pytest.raises(RequestError) as caught:
            await refused
        assert caught.value.status == 404


@pytest_twisted.ensureDeferred
async def test_a_blob_of_another_account_is_not_there(server: Any, stores: Any) -> None:
    blob_id = await server.upload(b"secret")
    bob = await stores.user(Principal("bob"))
    with pytest.raises(RequestError):
        await bob.api.blob(bob.principal, bob.account_id, blob_id)
    blob = await server.api.blob(server.principal, server.account_id, blob_id + "_2_3_n")
    assert await blob.read() == b"cre"
    assert await blob.read(1, 9) == b"re"
    for bad in ("_2_9_n", "_9_0_n", "_0_1_x"):
        with pytest.raises(RequestError):
            await server.api.blob(server.principal, server.account_id, blob_id + bad)


@pytest_twisted.ensureDeferred
async def test_created_ids_pass_in_and_out(server: Any) -> None:
    inbox = await server.role("inbox")
    response = await server.request(
        [
            "Mailbox/set",
            {
                "accountId": server.account_id,
                "create": {"new": {"name": "N", "parentId": "#given"}},
            },
            "a",
        ],
        ["Mailbox/get", {"accountId": server.account_id, "#ids": {
            "resultOf": "a", "name": "Mailbox/set", "path": "/created/new/parentId"}}, "b"],
        createdIds={"given": inbox},
    )  # fmt: skip
    made = response["methodResponses"][0][1]["created"]["new"]["id"]
    assert response["createdIds"] == {"given": inbox, "new": made}
    # parentId was sent, so it is not in `created`, and the reference leads nowhere.
    assert response["methodResponses"][1][1]["type"] == "invalidResultReference"


@pytest_twisted.ensureDeferred
async def test_calls_see_the_effects_of_those_before_them(server: Any) -> None:
    account_id = server.account_id
    response = await server.request(
        ["Mailbox/set", {"accountId": account_id, "create": {"m": {"name": "Z"}}}, "a"],
        ["Mailbox/query", {"accountId": account_id, "filter": {"name": "Z"}}, "b"],
        [
            "Mailbox/get",
            {
                "accountId": account_id,
                "#ids": {"resultOf": "b", "name": "Mailbox/query", "path": "/ids"},
                "properties": ["name"],
            },
            "c",
        ],
    )
    (_, made, _), (_, found, _), (_, got, _) = response["methodResponses"]
    assert found["ids"] == [made["created"]["m"]["id"]]
    assert got["list"] == [{"id": found["ids"][0], "name": "Z"}]
    assert got["state"] == made["newState"]


@pytest_twisted.ensureDeferred
async def test_an_account_that_is_removed_meanwhile(server: Any) -> None:
    """By an operator, while the request runs: not an error of ours."""

    async def vanish(context: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        await context.store.delete_account(arguments["accountId"])
        return {}

    core = server.api.registry.capabilities[CORE]
    vanishing = DataType("Vanish", core, methods={"Vanish/now": vanish})
    types = [*server.api.registry.datatypes.values(), vanishing]
    user = evolve(server, api=evolve(server.api, registry=Registry.of(types)))
    arguments = {"accountId": server.account_id, "ids": None}
    response = await user.request(["Vanish/now", arguments, "a"], ["Mailbox/get", arguments, "b"])
    assert response["methodResponses"] == [
        ["Vanish/now", {}, "a"],
        ["error", {"type": "accountNotFound"}, "b"],
    ]

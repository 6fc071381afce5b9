"""What the session advertises is there: methods, sorts, collations, limits (RFC 8620 §2)."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.jmap.capabilities import WITHOUT_METHODS
from mailhive.jmap.limits import Limits
from mailhive.testing.local import LocalStores, LocalUser

STANDARD = ("get", "changes", "query", "queryChanges", "set")
#: The methods that the specification of each capability defines.
METHODS = {
    "urn:ietf:params:jmap:core": {
        *("Core/echo", "Blob/copy", "PushSubscription/get", "PushSubscription/set"),
    },
    "urn:ietf:params:jmap:mail": {
        *(f"Mailbox/{verb}" for verb in STANDARD),
        *(f"Email/{verb}" for verb in (*STANDARD, "copy", "import", "parse")),
        *("Thread/get", "Thread/changes", "SearchSnippet/get"),
    },
    "urn:ietf:params:jmap:submission": {
        *("Identity/get", "Identity/changes", "Identity/set"),
        *(f"EmailSubmission/{verb}" for verb in STANDARD),
    },
    "urn:ietf:params:jmap:vacationresponse": {"VacationResponse/get", "VacationResponse/set"},
}
MESSAGE = b"From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n"


@pytest_twisted.ensureDeferred
async def test_every_method_of_every_capability_answers(server: LocalUser) -> None:
    session = await server.session()
    advertised = set(session["capabilities"])
    assert METHODS.keys() <= advertised
    account = session["accounts"][server.account_id]
    assert set(account["accountCapabilities"]) == advertised - WITHOUT_METHODS
    for uri in advertised:
        for method in sorted(METHODS.get(uri, ())):
            response = await server.request(
                [method, {"accountId": server.account_id}, "c"],
                using=["urn:ietf:params:jmap:core", uri],
            )
            name, result, _ = response["methodResponses"][0]
            assert (name, result.get("type")) != ("error", "unknownMethod"), method


@pytest_twisted.ensureDeferred
async def test_every_sort_and_collation_works(server: LocalUser) -> None:
    await server.add(MESSAGE)
    session = await server.session()
    account = session["accounts"][server.account_id]["accountCapabilities"]
    options = account["urn:ietf:params:jmap:mail"]["emailQuerySortOptions"]
    collations = session["capabilities"]["urn:ietf:params:jmap:core"]["collationAlgorithms"]
    assert len(options) == 9
    for name in options:
        keyword = {"keyword": "$seen"} if "Keyword" in name else {}
        for collation in collations:
            for ascending in (True, False):
                comparator = {"property": name, "isAscending": ascending, "collation": collation}
                result = await server.call("Email/query", sort=[comparator | keyword])
                assert len(result["ids"]) == 1, comparator
    for collation in collations:
        result = await server.call(
            "Mailbox/query", sort=[{"property": "name", "collation": collation}]
        )
        assert len(result["ids"]) == 6


@pytest_twisted.ensureDeferred
async def test_limits_of_methods_bite(server: LocalUser, stores: LocalStores) -> None:
    small = await stores.user(
        server.principal,
        Limits(get=2, set=2, email_get_full=1, mailbox_name_size=5, mailbox_depth=2,
               mailboxes_per_email=1, email_size=100, email_attachments_size=3),
    )  # fmt: skip
    inbox, trash = await server.role("inbox"), await server.role("trash")
    three = ["a", "b", "c"]
    for method, arguments in (
        ("Mailbox/get", {"ids": three}),
        ("Mailbox/get", {}),
        ("Email/get", {"ids": three}),
        ("Email/get", {"ids": three[:2], "fetchTextBodyValues": True}),
        ("Thread/get", {"ids": three}),
        ("Mailbox/set", {"destroy": three}),
        ("Email/set", {"destroy": three}),
        ("Email/import", {"emails": {name: {} for name in three}}),
    ):
        result = await small.call(method, **arguments)
        assert result["error"]["type"] == "requestTooLarge", method

    async def not_created(method: str, data: Any) -> tuple[str, Any]:
        argument = "emails" if method == "Email/import" else "create"
        error = (await small.call(method, **{argument: {"x": data}}))["notCreated"]["x"]
        return error["type"], error.get("maxSize")

    assert await not_created("Mailbox/set", {"name": "longer"}) == ("invalidProperties", None)
    parent = (await small.call("Mailbox/set", create={"a": {"name": "a", "parentId": inbox}}))[
        "created"
    ]["a"]["id"]
    assert await not_created("Mailbox/set", {"name": "b", "parentId": parent}) == (
        "invalidProperties",
        None,
    )
    both = {inbox: True, trash: True}
    assert await not_created("Email/set", {"mailboxIds": both}) == ("tooLarge", 100)
    blob_id = await server.upload(MESSAGE)
    assert await not_created("Email/import", {"blobId": blob_id, "mailboxIds": both}) == (
        "tooManyMailboxes",
        None,
    )
    big = await server.upload(MESSAGE + bytes(100))
    assert await not_created("Email/import", {"blobId": big, "mailboxIds": {inbox: True}}) == (
        "tooLarge",
        100,
    )
    attached = {"mailboxIds": {inbox: True}, "attachments": [{"blobId": big}]}
    assert await not_created("Email/set", attached) == ("tooLarge", 3)


@pytest.mark.parametrize("uri", METHODS)
@pytest_twisted.ensureDeferred
async def test_a_method_needs_its_capability(server: LocalUser, uri: str) -> None:
    others = [u for u in METHODS if u != uri]
    for method in sorted(METHODS[uri]):
        response = await server.request(
            [method, {"accountId": server.account_id}, "c"], using=others
        )
        assert response["methodResponses"] == [["error", {"type": "unknownMethod"}, "c"]]

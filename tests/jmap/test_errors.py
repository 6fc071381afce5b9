"""Every error that RFC 8620 and RFC 8621 name can be had, with the properties it has to have."""

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_twisted
from attrs import frozen

from mailhive.errors import TemporaryFailure
from mailhive.jmap.errors import RequestError
from mailhive.jmap.limits import Limits
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

ALICE = Principal("alice", emails=("alice@example.org",), member_of=("staff", "board"))
SMALL = Limits(set=3, get=3, email_size=1_000, mailboxes_per_email=1, recipients=1)
MESSAGE = b"From: alice@example.org\r\nTo: zoe@far.example\r\nSubject: s\r\n\r\nbody\r\n"


class Provoked(NamedTuple):
    """An error: its type, who gets it for what, and what it has besides type and description.

    A string `$NAME` stands for one of the names of the stage.
    """

    type: str
    user: str
    method: str
    arguments: dict[str, Any]
    extra: dict[str, Any] = {}  # noqa: RUF012


def sent(to: list[str], sender: str = "alice@example.org", email: str = "$email") -> dict[str, Any]:
    envelope = {"mailFrom": {"email": sender}, "rcptTo": [{"email": one} for one in to]}
    return {"create": {"x": {"emailId": email, "identityId": "$identity", "envelope": envelope}}}


FAR = ["a@far.example"]
IN_INBOX = {"mailboxIds": {"$inbox": True}}
LONG = {"create": {"x": {**IN_INBOX, "subject": "x" * 1_000}}}
WORDS = {f"k{number}": True for number in range(2_000)}

#: RFC 8620 §5.3, §5.4, §6.3; RFC 8621 §2.5, §4.6 to §4.8, §6.3, §7.5, §8.2.
SET_ERRORS = [
    Provoked("forbidden", "alice", "Mailbox/set", {"destroy": ["$inbox"]}),
    Provoked("forbidden", "alice", "Identity/set", {"destroy": ["$identity"]}),
    Provoked("overQuota", "poor", "Email/set", LONG),
    Provoked("tooLarge", "small", "Email/set", LONG, {"maxSize": 1_000}),
    Provoked(
        *("tooLarge", "small", "Email/import"),
        {"emails": {"x": {"blobId": "$large", **IN_INBOX}}},
        {"maxSize": 1_000},
    ),
    Provoked(
        *("tooLarge", "small", "EmailSubmission/set"),
        sent(FAR, email="$largeEmail"),
        {"maxSize": 1_000},
    ),
    Provoked("notFound", "alice", "Mailbox/set", {"destroy": ["nope"]}),
    Provoked("notFound", "alice", "Email/set", {"update": {"nope": {}}}),
    Provoked("notFound", "alice", "Email/set", {"destroy": ["#nope"]}),
    Provoked("notFound", "alice", "Identity/set", {"update": {"nope": {}}}),
    Provoked("notFound", "alice", "EmailSubmission/set", {"destroy": ["nope"]}),
    Provoked("notFound", "alice", "VacationResponse/set", {"update": {"nope": {}}}),
    Provoked(
        *("notFound", "staff", "Email/copy"),
        {"fromAccountId": "$alice", "create": {"x": {"id": "nope", "mailboxIds": {"F1": True}}}},
    ),
    Provoked("invalidPatch", "alice", "Email/set", {"update": {"$email": {"keywords/a/b": True}}}),
    Provoked("invalidPatch", "alice", "Mailbox/set", {"update": {"$inbox": {"name/x": "y"}}}),
    Provoked(
        *("willDestroy", "alice", "Email/set"),
        {"update": {"$doomed": {}}, "destroy": ["$doomed"]},
    ),
    Provoked(
        *("invalidProperties", "alice", "Mailbox/set"),
        {"create": {"x": {"name": "", "totalEmails": 3, "role": "x"}}},
        {"properties": ["name", "totalEmails", "role"]},
    ),
    Provoked(
        *("invalidProperties", "alice", "Email/import"),
        {"emails": {"x": {"blobId": "nope", **IN_INBOX}}},
        {"properties": ["blobId"]},
    ),
    Provoked(
        *("alreadyExists", "alice", "Mailbox/set"),
        {"create": {"x": {"name": "p"}}},
        {"existingId": "$parent", "properties": ["name"]},
    ),
    Provoked("singleton", "alice", "VacationResponse/set", {"create": {"x": {}}}),
    Provoked("singleton", "alice", "VacationResponse/set", {"destroy": ["singleton"]}),
    Provoked("mailboxHasChild", "alice", "Mailbox/set", {"destroy": ["$parent"]}),
    Provoked("mailboxHasEmail", "alice", "Mailbox/set", {"destroy": ["$full"]}),
    Provoked(
        *("tooManyKeywords", "alice", "Email/set"),
        {"create": {"x": {**IN_INBOX, "keywords": WORDS}}},
    ),
    Provoked(
        *("tooManyMailboxes", "small", "Email/set"),
        {"update": {"$email": {"mailboxIds/$full": True}}},
    ),
    Provoked(
        *("blobNotFound", "alice", "Email/set"),
        {
            "create": {
                "x": {**IN_INBOX, "attachments": [{"blobId": b} for b in ("b", "$large", "a")]}
            }
        },
        {"notFound": ["b", "a"]},
    ),
    Provoked(
        *("blobNotFound", "staff", "Blob/copy"),
        {"fromAccountId": "$alice", "blobIds": ["nope"]},
        {"notFound": ["nope"]},
    ),
    Provoked(
        *("invalidEmail", "alice", "Email/import"),
        {"emails": {"x": {"blobId": "$noise", **IN_INBOX}}},
    ),
    Provoked(
        *("invalidEmail", "alice", "EmailSubmission/set"),
        sent(FAR, email="$anonymous"),
        {"properties": ["from"]},
    ),
    Provoked(
        *("tooManyRecipients", "small", "EmailSubmission/set"),
        sent([*FAR, "b@far.example"]),
        {"maxRecipients": 1},
    ),
    Provoked("noRecipients", "alice", "EmailSubmission/set", sent([])),
    Provoked(
        *("invalidRecipients", "alice", "EmailSubmission/set"),
        sent([*FAR, "zoe", "nobody@example.org"]),
        {"invalidRecipients": ["zoe", "nobody@example.org"]},
    ),
    Provoked("forbiddenMailFrom", "alice", "EmailSubmission/set", sent(FAR, "b@far.example")),
    Provoked(
        *("forbiddenFrom", "alice", "Identity/set"),
        {"create": {"x": {"email": "poor@example.org"}}},
    ),
    Provoked("forbiddenFrom", "alice", "EmailSubmission/set", sent(FAR, email="$foreign")),
    Provoked("forbiddenToSend", "nameless", "EmailSubmission/set", sent(FAR)),
    Provoked(
        *("cannotUnsend", "alice", "EmailSubmission/set"),
        {"update": {"$sent": {"undoStatus": "canceled"}}},
    ),
]
#: Those that are had elsewhere, or never.
OTHER_SET_ERRORS = {
    "rateLimit": "how often PushSubscriptions may be made, tests/push",
}

#: RFC 8620 §3.6.2 and §5; RFC 8621 adds none.
METHOD_ERRORS = [
    Provoked("unknownMethod", "alice", "Mailbox/nope", {}),
    Provoked("invalidArguments", "alice", "Email/get", {"ids": 3}),
    Provoked("invalidArguments", "alice", "Email/get", {"accountId": None}),
    Provoked("invalidArguments", "alice", "Email/get", {"nope": 1}),
    Provoked(
        *("invalidResultReference", "alice", "Email/get"),
        {"#ids": {"resultOf": "nope", "name": "Email/query", "path": "/ids"}},
    ),
    Provoked("accountNotFound", "alice", "Email/get", {"accountId": "nope"}),
    Provoked("accountNotFound", "alice", "Email/set", {"accountId": "$poor"}),
    *(
        Provoked("accountReadOnly", "board", f"{name}/set", {"destroy": ["x"]})
        for name in ("Email", "Mailbox", "Identity", "EmailSubmission", "VacationResponse")
    ),
    Provoked(
        *("accountReadOnly", "board", "Email/import"),
        {"emails": {"x": {"blobId": "$large", **IN_INBOX}}},
    ),
    Provoked("accountReadOnly", "board", "Email/copy", {"fromAccountId": "$alice", "create": {}}),
    Provoked("accountReadOnly", "board", "Blob/copy", {"fromAccountId": "$alice", "blobIds": []}),
    Provoked("requestTooLarge", "small", "Email/get", {"ids": ["a", "b", "c", "d"]}),
    Provoked("requestTooLarge", "small", "Mailbox/get", {}),
    Provoked("requestTooLarge", "small", "Email/set", {"destroy": ["a", "b", "c", "d"]}),
    *(
        Provoked("cannotCalculateChanges", "alice", f"{name}/changes", {"sinceState": "99999"})
        for name in ("Mailbox", "Thread", "Email", "Identity", "EmailSubmission")
    ),
    *(
        Provoked(
            "cannotCalculateChanges", "alice", f"{name}/queryChanges", {"sinceQueryState": "x"}
        )
        for name in ("Mailbox", "Email", "EmailSubmission")
    ),
    Provoked(
        *("tooManyChanges", "alice", "Email/queryChanges"),
        {"sinceQueryState": "0", "maxChanges": 1},
    ),
    *(
        Provoked("stateMismatch", "alice", f"{name}/set", {"ifInState": "x"})
        for name in ("Email", "Mailbox", "Identity", "EmailSubmission", "VacationResponse")
    ),
    Provoked("stateMismatch", "alice", "Email/import", {"ifInState": "x", "emails": {}}),
    *(
        Provoked(
            "stateMismatch",
            "staff",
            "Email/copy",
            {"fromAccountId": "$alice", "create": {}, **state},
        )
        for state in ({"ifInState": "x"}, {"ifFromInState": "x"})
    ),
    Provoked(
        "fromAccountNotFound", "staff", "Email/copy", {"fromAccountId": "$poor", "create": {}}
    ),
    Provoked("fromAccountNotFound", "staff", "Blob/copy", {"fromAccountId": "x", "blobIds": []}),
    *(
        Provoked("anchorNotFound", "alice", f"{name}/query", {"anchor": "nope"})
        for name in ("Mailbox", "Email", "EmailSubmission")
    ),
    *(
        Provoked("unsupportedSort", "alice", f"{name}/query", {"sort": [{"property": "nope"}]})
        for name in ("Mailbox", "Email", "EmailSubmission")
    ),
    Provoked(
        *("unsupportedSort", "alice", "Email/query"),
        {"sort": [{"property": "subject", "collation": "i;nope"}]},
    ),
    *(
        Provoked("unsupportedFilter", "alice", f"{name}/query", {"filter": {"nope": 1}})
        for name in ("Mailbox", "Email", "EmailSubmission")
    ),
    Provoked(
        *("unsupportedFilter", "alice", "SearchSnippet/get"),
        {"filter": {"nope": 1}, "emailIds": []},
    ),
]
OTHER_METHOD_ERRORS = {
    "accountNotSupportedByMethod": "every account can be used with every method",
    "fromAccountNotSupportedByMethod": "likewise",
    "forbidden": "what a user may not do is told of each object; PushSubscription/get has one",
    "serverFail": "test_errors_that_are_ours",
    "serverPartialFail": "a method that fails has changed nothing",
    "serverUnavailable": "test_errors_that_are_ours",
}

#: The lists of the RFCs.
SET_ERRORS_OF_THE_RFCS = {
    *("forbidden", "overQuota", "tooLarge", "rateLimit", "notFound", "invalidPatch", "willDestroy"),
    *("invalidProperties", "singleton", "alreadyExists", "mailboxHasChild", "mailboxHasEmail"),
    *("blobNotFound", "tooManyKeywords", "tooManyMailboxes", "invalidEmail", "tooManyRecipients"),
    *("noRecipients", "invalidRecipients", "forbiddenMailFrom", "forbiddenFrom"),
    *("forbiddenToSend", "cannotUnsend"),
}
METHOD_ERRORS_OF_THE_RFCS = {
    *("serverUnavailable", "serverFail", "serverPartialFail", "unknownMethod", "invalidArguments"),
    *("invalidResultReference", "forbidden", "accountNotFound", "accountNotSupportedByMethod"),
    *("accountReadOnly", "requestTooLarge", "cannotCalculateChanges", "stateMismatch"),
    *("fromAccountNotFound", "fromAccountNotSupportedByMethod", "anchorNotFound"),
    *("unsupportedSort", "unsupportedFilter", "tooManyChanges"),
}


@frozen
class Stage:
    """Users by what they are called above, and what strings `$NAME` stand for."""

    users: dict[str, LocalUser]
    names: dict[str, str]

    def filled_in(self, value: Any) -> Any:
        """The value with every name replaced."""
        text = json.dumps(value)
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(f"${name}", self.names[name])
        return json.loads(text)


@pytest_twisted.async_yield_fixture
async def stage(stores: LocalStores) -> AsyncIterator[Stage]:
    stores.directory.put(
        Principal("staff", type="group"), Principal("board", type="group", members_may="read")
    )
    alice = await stores.user(ALICE)
    poor = await stores.user(Principal("poor", emails=("poor@example.org",), quota=300))
    users = {
        "alice": alice,
        "small": await stores.user(ALICE, SMALL),
        "staff": await alice.shared("staff"),
        "board": await alice.shared("board"),
        "poor": poor,
    }
    inbox = await alice.role("inbox")
    create = {"p": {"name": "p"}, "c": {"name": "c", "parentId": "#p"}, "f": {"name": "f"}}
    made = (await alice.call("Mailbox/set", create=create))["created"]
    in_f = {"mailboxIds": {made["f"]["id"]: True}}
    await alice.add(MESSAGE, **in_f)
    email = await alice.add(MESSAGE)
    large = MESSAGE + b"x" * 1_000
    [identity] = (await alice.call("Identity/get"))["list"]
    submission = {
        "emailId": email,
        "identityId": identity["id"],
        "envelope": {"mailFrom": {"email": ""}, "rcptTo": [{"email": "poor@example.org"}]},
    }
    result = await alice.call("EmailSubmission/set", create={"s": submission})
    sent_id = result["created"]["s"]["id"]
    names = {
        "alice": alice.account_id,
        "poor": poor.account_id,
        "inbox": inbox,
        "parent": made["p"]["id"],
        "full": made["f"]["id"],
        "email": email,
        "doomed": await alice.add(MESSAGE),
        "largeEmail": await alice.add(large),
        "anonymous": await alice.add(b"Subject: s\r\n\r\nbody"),
        "foreign": await alice.add(MESSAGE.replace(b"alice", b"poor")),
        "large": await alice.upload(large),
        "noise": await alice.upload(b"\0\1\2"),
        "identity": identity["id"],
        "sent": sent_id,
    }
    # One who has lost all addresses.
    users["nameless"] = await stores.user(Principal("alice"))
    stores.directory.put(ALICE)
    while True:
        found = await alice.call("EmailSubmission/get", ids=[sent_id])
        if found["list"][0]["undoStatus"] == "final":
            break
    yield Stage(users, names)


def check(stage: Stage, error: dict[str, Any], expected: Provoked) -> None:
    assert error["type"] == expected.type
    assert isinstance(error.pop("description", ""), str)
    assert error == {"type": expected.type, **stage.filled_in(expected.extra)}


@pytest_twisted.ensureDeferred
async def test_set_errors(stage: Stage) -> None:
    for expected in SET_ERRORS:
        user = stage.users[expected.user]
        response = await user.call(expected.method, **stage.filled_in(expected.arguments))
        assert "error" not in response, (expected, response)
        refused = [
            response[name]
            for name in ("notCreated", "notUpdated", "notDestroyed", "notCopied")
            if response.get(name)
        ]
        assert len(refused) == 1, (expected, response)
        [error] = refused[0].values()
        check(stage, error, expected)


@pytest_twisted.ensureDeferred
async def test_method_errors(stage: Stage) -> None:
    for expected in METHOD_ERRORS:
        user = stage.users[expected.user]
        response = await user.call(expected.method, **stage.filled_in(expected.arguments))
        assert response.keys() == {"error"}, (expected, response)
        check(stage, response["error"], expected)


@pytest.mark.parametrize(
    ("raised", "type_name"),
    [(TemporaryFailure("down"), "serverUnavailable"), (ZeroDivisionError("secret"), "serverFail")],
)
@pytest_twisted.ensureDeferred
async def test_errors_that_are_ours(
    stores: LocalStores,
    server: LocalUser,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    type_name: str,
) -> None:
    """They are told without what was wrong, which is for the log; the next call is answered."""

    async def fail(*arguments: Any) -> Any:
        raise raised

    account = {"accountId": server.account_id}
    with monkeypatch.context() as patch:
        patch.setattr(stores.mail_store, "read", fail)
        response = await server.request(["Mailbox/get", account, "0"], ["Core/echo", {}, "1"])
    (name, error, _), echo = response["methodResponses"]
    assert (name, error["type"]) == ("error", type_name)
    assert "secret" not in str(error) and "down" not in str(error)
    assert echo == ["Core/echo", {}, "1"]
    assert stores.failures == [("Mailbox/get", raised)]
    stores.failures.clear()


def test_no_error_is_left_out() -> None:
    for provoked, others, named in (
        (SET_ERRORS, OTHER_SET_ERRORS, SET_ERRORS_OF_THE_RFCS),
        (METHOD_ERRORS, OTHER_METHOD_ERRORS, METHOD_ERRORS_OF_THE_RFCS),
    ):
        types = {expected.type for expected in provoked}
        assert types.isdisjoint(others)
        assert types | set(others) == named


@pytest.mark.parametrize(
    ("request_text", "kind", "limit"),
    [
        ("{", "notJSON", None),
        ('{"using": [], "using": [], "methodCalls": []}', "notJSON", None),
        ('{"using": []}', "notRequest", None),
        ('{"using": ["urn:nope"], "methodCalls": []}', "unknownCapability", None),
        (
            json.dumps({"using": [], "methodCalls": [["Core/echo", {}, "0"]] * 17}),
            "limit",
            "maxCallsInRequest",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_request_errors(
    server: LocalUser, request_text: str, kind: str, limit: str | None
) -> None:
    """RFC 8620 §3.6.1; the limits that take a connection are in tests/wire/test_limits.py."""
    with pytest.raises(RequestError) as caught:
        await server.api.handle(server.principal, request_text.encode())
    problem = caught.value.problem()
    assert problem["type"] == f"urn:ietf:params:jmap:error:{kind}"
    assert problem["status"] == 400 and problem["detail"]
    assert problem.get("limit") == limit

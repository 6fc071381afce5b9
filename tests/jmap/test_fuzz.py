"""Any arguments of any method are answered, and never by a fault of ours."""

from typing import Any

import pytest_twisted
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.jmap.registry import Registry
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

REGISTRY = Registry.load()
MESSAGE = b"From: a@example.org\r\nSubject: s\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"

#: Stand for ids that exist, which differ from run to run.
NAMES = ("$inbox", "$trash", "$email", "$blob", "$thread", "$own", "$shared")
IDS = st.sampled_from([*NAMES, "nope", "#made", "#nope", "a b", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**54)
    | IDS
    | st.sampled_from(["inbox", "$seen", "text/plain", "multipart/mixed", "2020-01-01T00:00:00Z"])
    | st.text(max_size=8)
)
KEYS = IDS | st.sampled_from(
    [
        "name", "parentId", "role", "mailboxIds", "keywords", "keywords/$seen", "mailboxIds/$trash",
        "subject", "from", "to", "email", "textBody", "bodyStructure", "attachments", "subParts",
        "bodyValues", "partId", "blobId", "type", "value", "header:X-A", "header:Subject:asText",
        "operator", "conditions", "inMailbox", "text", "hasKeyword", "before", "minSize", "header",
        "property", "isAscending", "collation", "keyword", "resultOf", "path", "receivedAt", "id",
    ]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=10,
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(
        [
            "ids", "properties", "sinceState", "maxChanges", "filter", "sort", "position", "anchor",
            "anchorOffset", "limit", "calculateTotal", "create", "update", "destroy", "ifInState",
            "emails", "collapseThreads", "sortAsTree", "onDestroyRemoveEmails", "bodyProperties",
            "fetchAllBodyValues", "maxBodyValueBytes", "#ids", "accountId",
            "sinceQueryState", "upToId", "fromAccountId", "onSuccessDestroyOriginal", "blobIds",
            "emailIds",
        ]
    ),
    VALUES,
    max_size=4,
)  # fmt: skip
CALLS = st.lists(st.tuples(st.sampled_from(sorted(REGISTRY.methods)), ARGUMENTS), max_size=4)


def _replace(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, meaning in names.items():
            value = value.replace(name, meaning)
        return value
    if isinstance(value, dict):
        return {_replace(k, names): _replace(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_replace(v, names) for v in value]
    return value


@pytest_twisted.ensureDeferred
async def test_methods_take_anything(server: LocalUser, stores: LocalStores) -> None:
    stores.directory.put(Principal("team", "group"), evolve(server.principal, member_of=("team",)))
    email_id = await server.add(MESSAGE)
    email = (await server.call("Email/get", ids=[email_id]))["list"][0]
    names = {
        "$inbox": await server.role("inbox"),
        "$trash": await server.role("trash"),
        "$email": email_id,
        "$blob": email["blobId"],
        "$thread": email["threadId"],
        "$own": server.account_id,
        "$shared": (await server.shared("team")).account_id,
    }

    async def run(calls: list[tuple[str, dict[str, Any]]]) -> None:
        response = await server.request(
            *(
                [method, {"accountId": server.account_id, **_replace(arguments, names)}, "c"]
                for method, arguments in calls
            )
        )
        assert len(response["methodResponses"]) >= len(calls)
        assert stores.failures == []

    @settings(max_examples=150)
    @given(CALLS)
    def check(calls: list[tuple[str, dict[str, Any]]]) -> None:
        blockingCallFromThread(reactor, lambda: ensureDeferred(run(calls)))

    await deferToThread(check)

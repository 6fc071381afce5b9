"""Which process makes a method call."""

import pytest

from mailhive.jmap.context import Account
from mailhive.jmap.elsewhere import Elsewhere
from mailhive.jmap.registry import Registry
from mailhive.model.principal import Principal

REGISTRY = Registry.load()
ALICE = Principal("alice")
ACCOUNTS = {"a1": Account("a1", "alice", ALICE, "alice")}
#: What changes an account: all else is made where the request came in.
WRITES = {
    "Blob/copy",
    "Email/copy",
    "Email/import",
    "Email/set",
    "EmailSubmission/set",
    "Identity/set",
    "Mailbox/set",
    "VacationResponse/set",
}


class Peers:
    index, count = 2, 4

    def owner(self, account_id: str) -> int:
        return {"a1": 3, "a2": 2}[account_id]


@pytest.mark.parametrize("name", sorted(REGISTRY.methods))
def test_where_a_call_is_made(name: str) -> None:
    elsewhere = Elsewhere(Peers(), REGISTRY)
    place = elsewhere.place(name, {"accountId": "a1"}, ACCOUNTS)
    if name.startswith("PushSubscription/"):
        assert place == 0
        return
    assert place == (3 if name in WRITES else None)
    # Where nobody can own the account, the method says what is wrong.
    for arguments in ({}, {"accountId": "a9"}, {"accountId": None}, {"accountId": ["a1"]}):
        assert elsewhere.place(name, arguments, ACCOUNTS) is None
    own = {"a2": Account("a2", "alice", ALICE, "alice")}
    assert elsewhere.place(name, {"accountId": "a2"}, own) is None

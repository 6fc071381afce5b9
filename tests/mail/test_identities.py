"""Who may send as whom, and the identities that are there by themselves."""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.mail.identities import corresponds, may_send_as
from mailhive.model.principal import Principal
from mailhive.testing.directory import GrowingDirectory

ALICE = Principal("alice", emails=("alice@example.org", "al@example.org", "@example.org"))
BOB = Principal("bob", emails=("bob@example.org", "bob+own@example.org"))
EVE = Principal("eve", emails=("bob+eve@example.org", "eve@bücher.example"))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("owner", "address", "allowed"),
    [
        (ALICE, "alice@example.org", True),
        (ALICE, "ALICE@Example.ORG", True),
        (ALICE, "al@example.org", True),
        (ALICE, "whoever@example.org", True),
        (ALICE, "*@example.org", True),
        (ALICE, "alice+tag@example.org", True),
        (ALICE, "bob@example.org", False),
        (ALICE, "bob+tag@example.org", False),
        (ALICE, "alice@example.com", False),
        (ALICE, "*@example.com", False),
        (ALICE, "@example.org", False),
        (ALICE, "", False),
        (BOB, "bob@example.org", True),
        (BOB, "bob+tag@example.org", True),
        (BOB, "bob+eve@example.org", False),
        (BOB, "whoever@example.org", False),
        (BOB, "*@example.org", False),
        (EVE, "eve@xn--bcher-kva.example", True),
        (Principal("mute"), "alice@example.org", False),
    ],
)
async def test_the_right_to_an_address(owner: Principal, address: str, allowed: bool) -> None:
    directory = GrowingDirectory(deferToThread, reactor.seconds)  # type: ignore[attr-defined]
    directory.put(ALICE, BOB, EVE)
    assert await may_send_as(directory, owner, address) is allowed


@pytest.mark.parametrize(
    ("identity", "address", "expected"),
    [
        ("a@example.org", "A@EXAMPLE.org", True),
        ("a@example.org", "b@example.org", False),
        ("a@example.org", "a+b@example.org", False),
        ("*@example.org", "b@Example.org", True),
        ("*@example.org", "b@sub.example.org", False),
        ("*@example.org", "", False),
        ("a@bücher.example", "a@xn--bcher-kva.example", True),
    ],
)
def test_what_an_identity_is_for(identity: str, address: str, expected: bool) -> None:
    assert corresponds(identity, address) is expected


async def emails(user: Any) -> list[str]:
    return [identity["email"] for identity in (await user.call("Identity/get"))["list"]]


@pytest_twisted.ensureDeferred
async def test_there_is_one_for_each_address(stores: Any) -> None:
    alice = await stores.user(ALICE)
    assert await emails(alice) == ["alice@example.org", "al@example.org"]
    state = (await alice.call("Identity/get"))["state"]
    # The directory gives another address, and takes one away.
    changed = Principal("alice", emails=("a.lice@example.org", "alice@example.org"))
    alice = await stores.user(changed)
    assert await emails(alice) == ["alice@example.org", "al@example.org", "a.lice@example.org"]
    changes = await alice.call("Identity/changes", sinceState=state)
    first, _, third = (await alice.call("Identity/get"))["list"]
    assert changes["created"] == [third["id"]] and not third["mayDelete"]
    # Whether it may be deleted changes with the primary address.
    assert changes["updated"] == [first["id"]] and first["mayDelete"]
    alice = await stores.user(ALICE)
    again = await alice.call("Identity/changes", sinceState=changes["newState"])
    assert sorted(again["updated"]) == sorted((first["id"], third["id"]))
    assert len(await emails(alice)) == 3


@pytest_twisted.ensureDeferred
async def test_one_that_was_destroyed_does_not_come_back(stores: Any) -> None:
    alice = await stores.user(ALICE)
    identities = (await alice.call("Identity/get"))["list"]
    destroyed = await alice.call("Identity/set", destroy=[identities[1]["id"]])
    assert destroyed["destroyed"] == [identities[1]["id"]]
    alice = await stores.user(Principal("alice", emails=(*ALICE.emails, "new@example.org")))
    assert await emails(alice) == ["alice@example.org", "new@example.org"]

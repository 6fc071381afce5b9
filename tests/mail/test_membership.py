"""Who belongs to which group."""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.mail.membership import as_of_now, groups_of
from mailhive.model.principal import Principal
from mailhive.testing.directory import GrowingDirectory


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("alice", ["staff", "everyone"]),
        ("bob", ["circle", "staff", "round", "everyone"]),
        ("carol", []),
        ("dora", []),
    ],
)
@pytest_twisted.ensureDeferred
async def test_groups(name: str, groups: list[str]) -> None:
    directory = GrowingDirectory(deferToThread, reactor.seconds)  # type: ignore[attr-defined]
    directory.put(
        Principal("alice", member_of=("staff", "Staff")),
        Principal("bob", member_of=("circle", "staff", "gone")),
        Principal("carol", member_of=("news",)),  # the list is on a group
        Principal("dora"),
        Principal("staff", "group", member_of=("everyone",)),
        Principal("everyone", "group"),
        Principal("circle", "group", member_of=("round",)),
        Principal("round", "group", member_of=("circle",)),
        Principal("news", "list", member_of=("staff",)),
    )
    principal = await directory.principal(name)
    assert [group.name for group in await groups_of(directory, principal)] == groups


@pytest_twisted.ensureDeferred
async def test_what_a_principal_is_a_member_of_by_now() -> None:
    directory = GrowingDirectory(deferToThread, reactor.seconds)  # type: ignore[attr-defined]
    before = Principal("alice", member_of=("staff",), credential="password")
    directory.put(before)
    assert await as_of_now(directory, before) is before
    directory.put(Principal("alice", member_of=("circle",)))
    now = await as_of_now(directory, before)
    assert (now.name, now.member_of, now.credential) == ("alice", ("circle",), "password")
    directory.remove("alice")
    assert (await as_of_now(directory, before)).member_of == ()

"""What every `IDirectory` does.

class TestMyDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self): ...      # one that holds PRINCIPALS with PASSWORDS
"""

from typing import Any

import pytest
from attrs import evolve
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from zope.interface.verify import verifyObject

from mailhive.interfaces.directory import IDirectory
from mailhive.model.principal import Principal

__all__ = ["PASSWORDS", "PRINCIPALS", "DirectoryConformance"]

#: Who the directory knows.
PRINCIPALS = (
    Principal(
        "alice",
        description="Alice A.",
        emails=("alice@example.org", "a.lice@example.org", "@example.org"),
        member_of=("staff",),
        quota=1_000_000,
    ),
    Principal("bob", emails=("bob@example.org", "bob+exact@example.org"), member_of=("staff",)),
    Principal("chloé", emails=("chloé@bücher.example",), member_of=("board", "announce")),
    Principal("mute", emails=("mute@example.net",), member_of=("news",), mailboxes="inbox"),
    Principal("staff", "group", emails=("staff@example.org",), member_of=("everyone",)),
    Principal("board", "group", emails=("board@example.org",), member_of=("everyone", "announce")),
    Principal(
        "everyone",
        "group",
        emails=("all@example.org", "all@example.com"),
        member_of=("board",),
        quota=2_000_000,
        members_may="read",
    ),
    Principal("announce", "list", emails=("announce@example.org",), member_of=("news",)),
    Principal("news", "list", emails=("news@example.org",), member_of=("announce",)),
    Principal("empty", "list", emails=("empty@example.org",)),
)

#: The passwords of those who can log in; the others have none.
PASSWORDS = {"alice": "Vörsicht: 8 Zeichen!", "bob": "bob-secret", "chloé": "пароль"}


class DirectoryConformance:
    """Fixture `directory`: holds `PRINCIPALS`, who log in with `PASSWORDS`."""

    def test_provides_the_interface(self, directory: Any) -> None:
        assert verifyObject(IDirectory, directory)

    @pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda principal: principal.name)
    @ensureDeferred
    async def test_finds_principals_by_name(self, directory, principal):
        assert await directory.principal(principal.name) == principal

    @pytest.mark.parametrize("name", ["", "nobody", "alice@example.org", "alice\0", "%", "*", "'"])
    @ensureDeferred
    async def test_a_name_that_nobody_has(self, directory, name):
        assert await directory.principal(name) is None

    @pytest.mark.parametrize(
        ("login", "name"),
        [
            ("alice", "alice"),
            ("alice@example.org", "alice"),
            ("A.Lice@EXAMPLE.org", "alice"),
            ("bob", "bob"),
            ("chloé", "chloé"),
            ("chloé@bücher.example", "chloé"),
            ("chloé@xn--bcher-kva.example", "chloé"),
        ],
    )
    @ensureDeferred
    async def test_logging_in(self, directory, login, name):
        [principal] = [p for p in PRINCIPALS if p.name == name]
        for _ in range(2):
            assert await directory.authenticate(login, PASSWORDS[name]) == principal
        assert await directory.authenticate(login, PASSWORDS[name] + "x") is None
        assert await directory.authenticate(login, "") is None

    @pytest.mark.parametrize(
        "login",
        [
            "",
            "nobody",
            "bob",
            "mute",
            "staff",
            "staff@example.org",
            "announce",
            "@example.org",
            "anything@example.org",
            "alice+detail@example.org",
            "alice\0",
            "*",
            "' OR '1'='1",
            "a" * 100_000,
            "\ud800",
        ],
    )
    @ensureDeferred
    async def test_not_logging_in(self, directory, login):
        assert await directory.authenticate(login, PASSWORDS["alice"]) is None
        assert await directory.authenticate(login, "") is None

    @pytest.mark.parametrize("name", PASSWORDS)
    @ensureDeferred
    async def test_the_credential_of_who_logged_in_holds(self, directory, name):
        entered = await directory.authenticate(name, PASSWORDS[name])
        found = await directory.principal(name)
        assert found.credential == ""
        if found.credentials is not None:
            assert entered.credential in found.credentials

    @pytest.mark.parametrize("password", ["", "\0", "x" * 1_000_000, "\ud800", "bob-secret\0"])
    @ensureDeferred
    async def test_odd_passwords(self, directory, password):
        assert await directory.authenticate("bob", password) is None
        assert await directory.authenticate("nobody", password) is None

    @pytest.mark.parametrize(
        ("address", "names"),
        [
            ("alice@example.org", ["alice"]),
            ("ALICE@Example.ORG", ["alice"]),
            ("a.lice@example.org", ["alice"]),
            ("bob@example.org", ["bob"]),
            ("bob+anything@example.org", ["bob"]),
            ("BOB+Any+Thing@example.org", ["bob"]),
            ("bob+exact@example.org", ["bob"]),
            ("nobody@example.org", ["alice"]),
            ("nobody+x@example.org", ["alice"]),
            ("+x@example.org", ["alice"]),
            ("chloé@bücher.example", ["chloé"]),
            ("CHLOÉ@BÜCHER.example", ["chloé"]),
            ("chloe\u0301@xn--bcher-kva.example", ["chloé"]),
            ("mute@example.net", ["mute"]),
            ("staff@example.org", ["staff"]),
            ("staff+x@example.org", ["staff"]),
            ("board@example.org", ["board"]),
            ("all@example.org", ["everyone"]),
            ("all@example.com", ["everyone"]),
            ("announce@example.org", ["board", "chloé", "mute"]),
            ("news@example.org", ["board", "chloé", "mute"]),
        ],
    )
    @ensureDeferred
    async def test_recipients(self, directory, address, names):
        found = await directory.recipients(address)
        assert isinstance(found, tuple)
        assert sorted(principal.name for principal in found) == names
        # What they are members of need not be told.
        known = {evolve(principal, member_of=()) for principal in PRINCIPALS}
        assert {evolve(principal, member_of=()) for principal in found} <= known

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "@",
            "alice",
            "alice@",
            "@example.org",
            "nobody@example.net",
            "alice@example.com",
            "alice@sub.example.org",
            "alice@example.org.",
            "alice@example.org@elsewhere.example",
            "empty@example.org",
            "chloe@bücher.example",
            "a@" + "x" * 100_000,
            "ü@" + "ü" * 100_000,
            "\ud800@\ud800",
            "*@example.net",
            "%@example.net",
        ],
    )
    @ensureDeferred
    async def test_addresses_that_reach_nobody(self, directory, address):
        assert await directory.recipients(address) == ()

    @pytest.mark.parametrize(
        ("domain", "local"),
        [
            ("example.org", True),
            ("Example.ORG", True),
            ("example.net", True),
            ("example.com", True),
            ("bücher.example", True),
            ("xn--bcher-kva.EXAMPLE", True),
            ("", False),
            ("org", False),
            ("sub.example.org", False),
            ("elsewhere.example", False),
            ("\ud800", False),
        ],
    )
    @ensureDeferred
    async def test_local_domains(self, directory, domain, local):
        assert await directory.is_local_domain(domain) is local

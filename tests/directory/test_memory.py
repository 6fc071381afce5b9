"""The memory directory: the contract, its configuration, and what may be wrong with it."""

from types import SimpleNamespace

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher

from mailhive.directory.memory import PROVIDER, MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.directory.schemes import _CONTEXT
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.directory import configured


def settings_of(principals, secret_of) -> MemorySettings:
    def secret(name):
        return secret_of(PASSWORDS[name]) if name in PASSWORDS else None

    return MemorySettings(tuple(configured(p, secret(p.name)) for p in principals))


def hashed(password: str) -> str:
    handler = _CONTEXT.handler("argon2")
    return handler.using(rounds=1, memory_cost=64, parallelism=1).hash(password)


def make_directory(settings: MemorySettings) -> MemoryDirectory:
    from twisted.internet import reactor

    assert list(settings.problems()) == []
    return MemoryDirectory(settings, deferToThread, reactor.seconds)


class TestHashedMemoryDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self):
        return make_directory(settings_of(PRINCIPALS, hashed))


class TestPlainMemoryDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self):
        return make_directory(settings_of(PRINCIPALS, str))


@ensureDeferred
async def test_built_from_its_settings():
    from twisted.internet import reactor

    context = SimpleNamespace(offload=deferToThread, reactor=reactor)
    directory = PROVIDER.build(PROVIDER.settings(), context)
    assert await directory.principal("alice") is None


@ensureDeferred
async def test_email_lists():
    directory = make_directory(
        MemorySettings(
            (
                PrincipalSettings("a", email=("a@x.example",), email_list=("info@x.example",)),
                PrincipalSettings("b", email_list=("Info@X.example", "news@x.example")),
                PrincipalSettings("g", "group", email_list=("news@x.example",)),
                PrincipalSettings("c", member_of=("G",)),
                PrincipalSettings("n", "list", email=("info@x.example",)),
                PrincipalSettings("d", member_of=("n",)),
            )
        )
    )
    for address, names in [
        ("info@x.example", {"a", "b", "d"}),
        ("news@x.example", {"b", "g"}),
        ("a@x.example", {"a"}),
    ]:
        assert {p.name for p in await directory.recipients(address)} == names
    assert await directory.authenticate("info@x.example", "") is None


def problems_of(*principals: PrincipalSettings) -> dict[tuple, str]:
    return dict(MemorySettings(principals).problems())


def test_every_problem_is_found_at_its_key():
    found = problems_of(
        PrincipalSettings("alice", email=("alice@x.example", "no address", "Alice@X.example")),
        PrincipalSettings("Alice", email=("ALICE@x.example", "a@" + "b" * 64 + ".example")),
        PrincipalSettings("", member_of=("nobody", "alice", "staff")),
        PrincipalSettings("a:b", email_list=("@x.example", "x")),
        PrincipalSettings("staff", "group", email=("@x.example", "@X.EXAMPLE", "@")),
        PrincipalSettings("mallory", secret="$argon2id$v=19$m=65536"),
        PrincipalSettings("bob@x.example", secret="$y$j9T$abc$def"),
        PrincipalSettings("x", email=("bob@x.example",), secret="", members_may="read"),
        PrincipalSettings("shared", "group", members_may="read"),
    )
    assert {path: message.partition(";")[0] for path, message in found.items()} == {
        ("principals", 0, "email", 1): '"no address" is no address',
        (
            "principals",
            0,
            "email",
            2,
        ): '"Alice@X.example" is an address of "alice" already',
        ("principals", 1, "name"): '"Alice" is there twice',
        (
            "principals",
            1,
            "email",
            0,
        ): '"ALICE@x.example" is an address of "alice" already',
        ("principals", 1, "email", 1): f'"a@{"b" * 64}.example" is no address',
        ("principals", 2, "name"): '"" is no name',
        ("principals", 2, "member-of", 0): '"nobody" is no principal',
        ("principals", 2, "member-of", 1): '"alice" is an individual',
        ("principals", 3, "name"): '"a:b" is no name',
        ("principals", 3, "email-list", 0): '"@x.example" is no address',
        ("principals", 3, "email-list", 1): '"x" is no address',
        (
            "principals",
            4,
            "email",
            1,
        ): '"@X.EXAMPLE" is an address of "staff" already',
        ("principals", 4, "email", 2): '"@" is no address',
        ("principals", 5, "secret"): "is not a complete argon2 hash",
        ("principals", 6, "secret"): "is hashed by a scheme that is not known",
        ("principals", 7, "email", 0): '"bob@x.example" is the name of another principal',
        ("principals", 7, "members-may"): '"x" is no group, so that nobody shares its account',
        ("principals", 7, "secret"): "is empty",
    }
    assert all("; allowed" in message for message in found.values())


def test_a_login_may_be_its_own_address():
    assert problems_of(PrincipalSettings("a@x.example", email=("a@x.example",))) == {}


def test_plain_text_is_warned_about_once():
    settings = MemorySettings(
        (
            PrincipalSettings("a", secret=hashed("x")),
            PrincipalSettings("b", secret="open"),
            PrincipalSettings("c", secret="{PLAIN}$6$open"),
            PrincipalSettings("d"),
        )
    )
    [(path, message)] = settings.warnings()
    assert path == ("principals", 1, "secret")
    assert message.startswith("passwords are in plain text (b, c);")
    assert "open" not in message
    assert MemorySettings(settings.principals[:1]).warnings() == []


def test_secrets_are_not_shown():
    assert "open" not in repr(MemorySettings((PrincipalSettings("a", secret="open"),)))


ALICE = """[[principals]]
name = "alice"
secret = "{PLAIN}first"
email = ["alice@x.example"]
"""


class Watched:
    """A file directory, a clock, and the errors that it logged."""

    def __init__(self, path):
        self.path = path
        self.clock = Clock()
        settings = MemorySettings(principals_file=path)
        assert list(settings.problems()) == []
        context = SimpleNamespace(offload=self._at_once, reactor=self.clock)
        self.directory = PROVIDER.build(settings, context)
        self.directory.open()
        self.errors = []
        globalLogPublisher.addObserver(self._observe)

    def close(self):
        globalLogPublisher.removeObserver(self._observe)
        self.directory.close()
        assert self.clock.getDelayedCalls() == []

    def write(self, text):
        self.path.write_text(text, encoding="utf-8")

    def _at_once(self, function, *arguments):
        return maybeDeferred(function, *arguments)

    def _observe(self, event):
        if event["log_level"].name == "error" and event["log_namespace"].endswith("memory"):
            self.errors.append(event["log_format"].format(**event))


@pytest.fixture
def watched(tmp_path):
    path = tmp_path / "principals.toml"
    path.write_text(ALICE)
    watched = Watched(path)
    yield watched
    watched.close()


@ensureDeferred
async def test_a_file_of_principals_is_followed(watched):
    directory = watched.directory
    assert (await directory.authenticate("alice", "first")).name == "alice"
    watched.write(ALICE.replace("first", "second") + ALICE.replace("alice", "bob"))
    assert await directory.principal("bob") is None
    watched.clock.advance(5)
    assert await directory.authenticate("alice", "first") is None
    assert await directory.authenticate("alice", "second")
    assert [p.name for p in await directory.recipients("bob@x.example")] == ["bob"]
    watched.write(ALICE)
    await directory.reload()
    assert await directory.principal("bob") is None
    assert watched.errors == []


@pytest.mark.parametrize("broken", ["[[principals]]\n", "[[", None, ALICE + ALICE])
@ensureDeferred
async def test_a_broken_file_leaves_who_was_there_and_is_told_of_once(watched, broken):
    if broken is None:
        watched.path.unlink()
    else:
        watched.write(broken)
    watched.clock.pump([5, 5, 5])
    assert await watched.directory.authenticate("alice", "first")
    [error] = watched.errors
    assert error.startswith(f"Principals stay as they were: {watched.path}")
    assert "\n" not in error
    watched.write(ALICE.replace("alice", "bob"))
    watched.clock.advance(5)
    assert await watched.directory.principal("alice") is None
    assert len(watched.errors) == 1


def test_mistakes_in_a_file_have_its_lines(tmp_path):
    path = tmp_path / "principals.toml"
    path.write_text(ALICE + 'quota = "1X"\n\n[[principals]]\nname = ""\n')
    settings = MemorySettings(principals_file=path)
    assert [(key, what.partition(";")[0]) for key, what in settings.problems()] == [
        (("principals-file",), f'{path}:5: principals[0].quota: "X" is not a unit'),
    ]
    path.write_text(ALICE + '[[principals]]\nname = ""\n[x]\n')
    assert [what.partition(";")[0] for _, what in settings.problems()] == [
        f"{path}:7: x: is not a known key"
    ]
    path.write_text(ALICE + '[[principals]]\nname = ""\n')
    assert [what.partition(";")[0] for _, what in settings.problems()] == [
        f'{path}:6: principals[1].name: "" is no name'
    ]
    path.write_text(ALICE.replace("{PLAIN}", ""))
    assert list(settings.problems()) == []
    [(key, warning)] = settings.warnings()
    assert key == ("principals-file",)
    assert "(alice)" in warning
    both = MemorySettings((PrincipalSettings("a"),), path)
    assert [what for _, what in both.problems()] == [
        "is given beside principals; allowed is one of the two"
    ]

"""Answers that are kept, for how long, and which are not."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailhive.config.units import Duration
from mailhive.directory.cache import CachedDirectory, CacheSettings, CacheTtl
from mailhive.directory.memory import MemoryDirectory, MemorySettings
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IDirectory
from mailhive.model.principal import Principal
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.directory import configured

ALICE = Principal("alice", emails=("alice@example.org",))


@implementer(IDirectory)
class Elsewhere:
    """A directory that counts questions; `alice` is there with `password` or not at all."""

    def __init__(self):
        self.password = "secret"
        self.there = True
        self.down = False
        self.asked = []

    def authenticate(self, login, password):
        right = self.there and (login, password) == ("alice", self.password)
        return self._answer(login, ALICE if right else None)

    def principal(self, name):
        return self._answer(name, ALICE if self.there and name == "alice" else None)

    def recipients(self, address):
        known = self.there and address == "alice@example.org"
        return self._answer(address, (ALICE,) if known else ())

    def is_local_domain(self, domain):
        return self._answer(domain, domain == "example.org")

    def _answer(self, question, answer):
        self.asked.append(question)
        return fail(TemporaryFailure("down")) if self.down else succeed(answer)


class TestCachedDirectory(DirectoryConformance):
    """Every question is asked twice, so that the second answer is one that was kept."""

    @pytest.fixture
    def directory(self):
        from twisted.internet import reactor

        principals = tuple(configured(p, PASSWORDS.get(p.name)) for p in PRINCIPALS)
        memory = MemoryDirectory(MemorySettings(principals), deferToThread, reactor.seconds)
        return Twice(CachedDirectory(memory, CacheSettings(), reactor.seconds))


@implementer(IDirectory)
class Twice:
    def __init__(self, directory):
        self._directory = directory

    def authenticate(self, login, password):
        return self._twice(self._directory.authenticate, login, password)

    def principal(self, name):
        return self._twice(self._directory.principal, name)

    def recipients(self, address):
        return self._twice(self._directory.recipients, address)

    def is_local_domain(self, domain):
        return self._twice(self._directory.is_local_domain, domain)

    def _twice(self, ask, *args):
        return ask(*args).addCallback(lambda first: self._equal(first, ask(*args)))

    async def _compare(self, first, second):
        assert first == await second
        return first

    def _equal(self, first, second):
        return Deferred.fromCoroutine(self._compare(first, second))


def make(entries=100, positive=60.0, negative=10.0):
    clock, behind = Clock(), Elsewhere()
    settings = CacheSettings(entries, CacheTtl(Duration(positive), Duration(negative)))
    return CachedDirectory(behind, settings, clock.seconds), behind, clock


@ensureDeferred
async def test_a_changed_directory_is_right_within_the_stated_times():
    cached, behind, clock = make()
    assert await cached.principal("alice") == ALICE
    assert await cached.recipients("alice@example.org") == (ALICE,)
    assert await cached.authenticate("alice", "secret") == ALICE
    behind.there = False
    clock.advance(59.9)
    assert await cached.principal("alice") == ALICE
    assert await cached.recipients("alice@example.org") == (ALICE,)
    assert await cached.authenticate("alice", "secret") == ALICE
    clock.advance(0.1)
    assert await cached.principal("alice") is None
    assert await cached.recipients("alice@example.org") == ()
    assert await cached.authenticate("alice", "secret") is None
    behind.there = True
    assert await cached.authenticate("alice", "secret") == ALICE
    assert await cached.recipients("alice@example.org") == ()
    clock.advance(10)
    assert await cached.principal("alice") == ALICE
    assert await cached.recipients("alice@example.org") == (ALICE,)


@ensureDeferred
async def test_a_new_password_holds_at_once_and_wrong_ones_are_never_kept():
    cached, behind, _ = make()
    assert await cached.authenticate("alice", "new") is None
    behind.password = "new"
    assert await cached.authenticate("alice", "new") == ALICE
    assert await cached.authenticate("alice", "new") == ALICE
    assert await cached.authenticate("alic", "enew") is None
    assert behind.asked == ["alice", "alice", "alic"]
    assert b"new" not in repr(cached.__dict__).encode()


@ensureDeferred
async def test_failures_are_never_kept():
    cached, behind, clock = make()
    assert await cached.principal("alice") == ALICE
    behind.down = True
    assert await cached.principal("alice") == ALICE
    for _ in range(2):
        for answer in (
            cached.principal("bob"),
            cached.recipients("alice@example.org"),
            cached.is_local_domain("example.org"),
            cached.authenticate("alice", "secret"),
        ):
            with pytest.raises(TemporaryFailure):
                await answer
    clock.advance(60)
    with pytest.raises(TemporaryFailure):
        await cached.principal("alice")
    behind.down = False
    assert await cached.principal("alice") == ALICE
    assert await cached.is_local_domain("example.org")


@ensureDeferred
async def test_the_oldest_answers_give_way_and_nobody_does_not_drive_out_somebody():
    cached, behind, _ = make(entries=3)
    await cached.principal("alice")
    for n in range(10):
        await cached.principal(f"nobody {n}")
    del behind.asked[:]
    for name in ("alice", "nobody 9", "nobody 8", "nobody 7", "nobody 6"):
        await cached.principal(name)
    assert behind.asked == ["nobody 6"]
    await cached.principal("x" * 2000)
    await cached.principal("x" * 2000)
    assert len(behind.asked) == 3


@ensureDeferred
async def test_times_of_zero_keep_nothing():
    cached, behind, _ = make(positive=0.0, negative=0.0)
    for _ in range(2):
        await cached.principal("alice")
        await cached.principal("bob")
    assert len(behind.asked) == 4


@ensureDeferred
async def test_equal_questions_share_an_answer_as_old_as_the_question():
    cached, behind, clock = make()
    slow = Deferred()
    behind.principal = lambda name: slow
    cached_answers = [cached.principal("alice") for _ in range(3)]
    clock.advance(59)
    slow.callback(ALICE)
    assert [await answer for answer in cached_answers] == [ALICE] * 3
    behind.principal = lambda name: succeed(None)
    assert await cached.principal("alice") == ALICE
    clock.advance(1)
    assert await cached.principal("alice") is None


@ensureDeferred
async def test_a_reload_forgets():
    cached, behind, _ = make()
    assert await cached.principal("alice") == ALICE
    assert await cached.principal("bob") is None
    assert await cached.authenticate("alice", "secret") == ALICE
    behind.there = False
    cached.reload()
    assert await cached.principal("alice") is None
    assert await cached.authenticate("alice", "secret") is None


@ensureDeferred
async def test_a_login_brings_what_is_known_of_the_principal_up_to_date():
    """Or what it was let in by would not be among what it can be let in by."""
    cached, behind, _ = make()
    assert await cached.principal("alice") == ALICE
    known = Principal("alice", credential="new", credentials=frozenset({"new"}))
    behind.authenticate = lambda login, password: succeed(known)
    entered = await cached.authenticate("alice", "new password")
    assert entered.credential == "new"
    found = await cached.principal("alice")
    assert found.credentials == {"new"}
    assert found.credential == ""

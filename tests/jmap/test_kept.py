"""Texts of objects, kept until the objects change."""

import random

import pytest
from msgspec import Raw
from pytest_twisted import ensureDeferred

from mailhive.errors import CannotCalculateChanges
from mailhive.jmap.kept import Kept
from mailhive.model.changes import Changes
from mailhive.model.principal import Principal


class History:
    """A reader of an account in which nothing happened but what is told."""

    account_id = "a"

    def __init__(self, *, updated=(), destroyed=(), has_more=False):
        self.answer = ((), tuple(updated), tuple(destroyed), has_more)
        self.asked = []

    def changes(self, type_name, since, limit):
        self.asked.append((type_name, since))
        created, updated, destroyed, more = self.answer
        return Changes(since, since + 1, more, created, updated, destroyed)


class Forgetful(History):
    def changes(self, type_name, since, limit):
        raise CannotCalculateChanges("too long ago")


def texts(*ids):
    return {i: Raw(b'{"id":"%s"}' % i.encode()) for i in ids}


@pytest.fixture
def kept():
    kept = Kept(1_000_000)
    kept.add("a", "Email", "shape", 5, texts("x", "y", "z"))
    return kept


def find(kept, reader, state, *ids, shape="shape", type_name="Email"):
    return list(kept.find(reader, type_name, shape, state, ids))


def test_what_is_kept_is_found_in_the_order_asked_for(kept):
    reader = History()
    assert kept.find(reader, "Email", "shape", 5, ["z", "unknown", "x"]) == texts("z", "x")
    assert reader.asked == []


def test_of_one_shape_type_and_account(kept):
    assert find(kept, History(), 5, "x", shape="other") == []
    assert find(kept, History(), 5, "x", type_name="Thread") == []
    elsewhere = History()
    elsewhere.account_id = "b"
    assert find(kept, elsewhere, 5, "x") == []


def test_what_has_changed_or_gone_is_forgotten(kept):
    reader = History(updated=["x"], destroyed=["y"])
    assert find(kept, reader, 8, "x", "y", "z") == ["z"]
    assert reader.asked == [("Email", 5)]
    assert find(kept, reader, 8, "x", "y", "z") == ["z"]
    assert reader.asked == [("Email", 5)]


@pytest.mark.parametrize("reader", [History(has_more=True), Forgetful()])
def test_all_is_forgotten_when_too_much_has_changed(kept, reader):
    assert find(kept, reader, 900, "x", "y", "z") == []
    assert find(kept, History(), 5, "x") == []


def test_who_reads_an_earlier_moment_gets_nothing_and_adds_nothing(kept):
    assert find(kept, History(updated=["x"]), 6, "y") == ["y"]
    assert find(kept, History(), 5, "y") == []
    kept.add("a", "Email", "shape", 5, texts("x"))
    assert find(kept, History(), 6, "x", "y") == ["y"]


def test_what_is_added_later_than_looked_through_stands_alone(kept):
    kept.add("a", "Email", "shape", 7, texts("w"))
    assert find(kept, History(), 7, "w", "x") == ["w"]


def test_memory_is_bounded_and_the_least_recently_used_goes_first():
    kept = Kept(100_000)
    many = texts(*(f"M{n}" for n in range(100)))
    reader = History()
    for account in "abcdef":
        kept.add(account, "Email", "shape", 1, many)
        reader.account_id = "a"
        assert len(find(kept, reader, 1, *many)) == 100
    held = []
    for account in "abcdef":
        reader.account_id = account
        held.append(len(find(kept, reader, 1, *many)))
    assert held[0] == held[-1] == 100
    assert held.count(0) >= 2


def test_one_large_text_is_not_kept_and_too_many_are_not_either():
    kept = Kept(100_000)
    kept.add("a", "Email", "shape", 1, {"x": Raw(b"1" * 10_000), **texts("y")})
    assert find(kept, History(), 1, "x", "y") == ["y"]
    kept.add("a", "Email", "shape", 1, texts(*(f"M{n}" for n in range(1000))))
    assert find(kept, History(), 1, "y", "M1") == []


PROPERTIES = (
    ["id", "keywords", "mailboxIds", "subject"],
    ["threadId"],
    None,
)


@ensureDeferred
async def test_answers_are_those_of_a_server_that_keeps_nothing(stores):
    """Over a random history of changes, of Emails and Threads in several shapes."""
    chance = random.Random(7)
    alice = await stores.user(Principal("alice"))
    other = await stores.user(Principal("alice"))  # the same account, another cache
    inbox, archive = await alice.role("inbox"), await alice.role("archive")
    ids = []
    for number in range(12):
        reply = f"In-Reply-To: <{number // 3}@x>\r\n" if number % 3 else ""
        message = f"Message-ID: <{number // 3 if not number % 3 else number + 100}@x>\r\n{reply}"
        ids.append(await alice.add(f"{message}Subject: s\r\n\r\nBody {number}\r\n".encode()))
    for _ in range(40):
        email = chance.choice(ids)
        change = chance.choice(
            (
                {"update": {email: {"keywords/$seen": chance.choice((True, None))}}},
                {"update": {email: {"mailboxIds": {chance.choice((inbox, archive)): True}}}},
                {"destroy": [email]} if chance.random() < 0.2 else {},
            )
        )
        await alice.call("Email/set", **change)
        for properties in PROPERTIES:
            asked = {"ids": chance.sample(ids, 8), "properties": properties}
            other.api.kept = Kept(0)
            expected = await other.call("Email/get", **asked)
            assert await alice.call("Email/get", **asked) == expected
            threads = sorted({e["threadId"] for e in expected["list"] if "threadId" in e})
            got = await alice.call("Thread/get", ids=threads)
            assert got == await other.call("Thread/get", ids=threads)

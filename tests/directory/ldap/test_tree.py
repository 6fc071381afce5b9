"""Searches: pages that never end, and answers that are none."""

from collections import deque

import pytest
from pytest_twisted import ensureDeferred
from sansldap import (
    FilterPresent,
    LDAPResultCode,
    PartialAttribute,
    SearchResultEntry,
)
from twisted.internet.defer import succeed

from mailhive.directory.ldap.connection import Found, Outcome, ServerFailed
from mailhive.directory.ldap.tree import Tree
from mailhive.errors import TemporaryFailure

PRESENT = FilterPresent("objectClass")


class Pool:
    """Gives the answers that it was given, the last one for ever."""

    def __init__(self, *answers):
        self.answers = deque(answers)
        self.asked = 0

    async def run(self, request):
        return await request(self)

    def search(self, *_, **__):
        self.asked += 1
        assert self.asked < 1_000
        return succeed(self.answers.popleft() if len(self.answers) > 1 else self.answers[0])


def page(*names, code=LDAPResultCode.SUCCESS, cookie=b"", references=0, attribute="uid"):
    entries = [
        SearchResultEntry(1, [], name, [PartialAttribute(attribute, [b"x"])]) for name in names
    ]
    return Found(Outcome(getattr(code, "value", code), "said"), entries, references, cookie)


def tree(*answers, ignores_references=False):
    pool = Pool(*answers)
    return Tree(pool, ("dc=x",), PRESENT, 1, 10, 20, ignores_references), pool


@ensureDeferred
async def test_pages_are_put_together():
    one, pool = tree(page("a", "b", cookie=b"1"), page("B", "c", cookie=b"2"), page("d"))
    found = await one.search(PRESENT, ["uid"])
    assert [entry.dn for entry in found] == ["a", "B", "c", "d"]
    assert pool.asked == 3


@pytest.mark.parametrize("names", [(), ("a",)])
@ensureDeferred
async def test_pages_that_never_end(names):
    one, pool = tree(page(*names, cookie=b"more"))
    with pytest.raises(TemporaryFailure):
        await one.search(PRESENT, ["uid"])
    assert pool.asked <= 22


@ensureDeferred
async def test_more_than_may_be():
    one, _ = tree(page(*map(str, range(21))))
    with pytest.raises(TemporaryFailure):
        await one.search(PRESENT, ["uid"])


@pytest.mark.parametrize(
    "code",
    [
        LDAPResultCode.SIZE_LIMIT_EXCEEDED,
        LDAPResultCode.TIME_LIMIT_EXCEEDED,
        LDAPResultCode.ADMIN_LIMIT_EXCEEDED,
        LDAPResultCode.REFERRAL,
        LDAPResultCode.NO_SUCH_OBJECT,
        LDAPResultCode.INSUFFICIENT_ACCESS_RIGHTS,
        LDAPResultCode.OTHER,
        12345,
    ],
)
@ensureDeferred
async def test_answers_that_are_not_whole(code):
    one, _ = tree(page("a", code=code))
    with pytest.raises(TemporaryFailure) as caught:
        await one.search(PRESENT, ["uid"])
    assert not isinstance(caught.value, ServerFailed)


@pytest.mark.parametrize("code", [LDAPResultCode.BUSY, LDAPResultCode.UNAVAILABLE])
@ensureDeferred
async def test_servers_that_have_no_time(code):
    one, _ = tree(page(code=code))
    with pytest.raises(ServerFailed):
        await one.search(PRESENT, ["uid"])


@ensureDeferred
async def test_references():
    one, _ = tree(page("a", references=1))
    with pytest.raises(TemporaryFailure):
        await one.search(PRESENT, ["uid"])
    one, _ = tree(page("a", references=1), ignores_references=True)
    assert len(await one.search(PRESENT, ["uid"])) == 1


@ensureDeferred
async def test_reading_an_entry():
    one, _ = tree(page("a"))
    assert (await one.read("a", ["uid"])).text("UID") == "x"
    for code in (LDAPResultCode.NO_SUCH_OBJECT, LDAPResultCode.INVALID_DN_SYNTAX):
        one, _ = tree(page(code=code))
        assert await one.read("a", ["uid"]) is None
        assert await one.fits("a", PRESENT) is False


@ensureDeferred
async def test_is_there_any():
    one, _ = tree(page("a", code=LDAPResultCode.SIZE_LIMIT_EXCEEDED))
    assert await one.has(PRESENT) is True  # it stopped at the first, as it was asked to
    one, _ = tree(page())
    assert await one.has(PRESENT) is False
    one, _ = tree(page(code=LDAPResultCode.SIZE_LIMIT_EXCEEDED))
    with pytest.raises(TemporaryFailure):
        await one.has(PRESENT)


@ensureDeferred
async def test_attributes_with_options():
    one, _ = tree(page("a", attribute="uid;lang-de"))
    assert (await one.read("a", ["uid"])).text("uid") is None
    one, _ = tree(page("a", attribute="member;range=0-1499"))
    with pytest.raises(TemporaryFailure, match="too many"):
        await one.read("a", ["member"])

"""Whole answers, given again while nothing has changed."""

import json
import random

from pytest_twisted import ensureDeferred

from mailhive.jmap.answers import Answers, JmapReply
from mailhive.jmap.kept import Kept
from mailhive.jmap.session import Reach
from mailhive.model.principal import Principal

ALICE = Principal("alice")


REACH = Reach({}, "s")


def asked(text, reach=REACH):
    return reach, text


def reply(octets=10):
    return JmapReply(b"x" * octets, ("Email/get",), is_complete=True)


def test_an_answer_is_found_at_its_moment_by_who_asked():
    answers = Answers(1_000_000)
    answers.add(asked(b"a"), (3,), reply())
    assert answers.find(asked(b"a"), (3,)) == reply()
    assert answers.find(asked(b"a"), (4,)) is None
    assert answers.find(asked(b"b"), (3,)) is None
    assert asked(b"a", Reach({}, "s")) not in answers
    answers.add(asked(b"a"), (4,), reply(20))
    assert answers.find(asked(b"a"), (3,)) is None
    assert answers.find(asked(b"a"), (4,)) == reply(20)


def test_memory_is_bounded_and_the_least_recently_used_goes_first():
    answers = Answers(100_000)
    for number in range(200):
        answers.add(asked(b"%d" % number), (1,), reply(1000))
        assert answers.find(asked(b"0"), (1,)) is not None
    held = [n for n in range(200) if asked(b"%d" % n) in answers]
    assert 30 < len(held) < 60
    assert held[0] == 0
    assert held[1:] == list(range(held[1], 200))
    answers.add(asked(b"large"), (1,), reply(5000))
    assert asked(b"large") not in answers


def requests(inbox, ids, state):
    """Requests that go by state, and one that also says who asks."""
    listed = {"#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}}
    return (
        [["Mailbox/get", {"ids": None}]],
        [
            ["Email/query", {"filter": {"inMailbox": inbox}, "calculateTotal": True}],
            ["Email/get", {**listed, "properties": ["keywords", "mailboxIds"]}],
        ],
        [["Email/changes", {"sinceState": state}], ["Thread/changes", {"sinceState": state}]],
        [["Email/get", {"ids": ids}], ["Thread/get", {"ids": None}]],
    )


@ensureDeferred
async def test_answers_are_those_of_a_server_that_keeps_nothing(stores):
    """Over a random history of two who share an account, and have one each."""
    chance = random.Random(11)
    group = Principal("team", type="group", emails=("team@example.org",))
    await stores.user(group)
    sharing = {}
    for name in ("alice", "bob"):
        user = await stores.user(Principal(name, member_of=("team",)))
        sharing[name] = (user, await user.shared("team"))
    team = sharing["alice"][1]
    inbox, archive = await team.role("inbox"), await team.role("archive")
    ids = [await team.add(b"Subject: %d\r\n\r\nBody\r\n" % number) for number in range(6)]
    state = (await team.call("Email/get", ids=[]))["state"]
    given = 0
    for _ in range(30):
        own, shared = sharing[chance.choice(("alice", "bob"))]
        step = chance.randrange(6)
        if step == 0:
            change = {chance.choice(ids): {"keywords/$seen": chance.choice((True, None))}}
            await shared.call("Email/set", update=change)
        elif step == 1:
            change = {chance.choice(ids): {"mailboxIds": {chance.choice((inbox, archive)): True}}}
            await shared.call("Email/set", update=change)
        elif step == 2:  # what one of them sees differently from the other
            change = {inbox: {"isSubscribed": chance.choice((True, False))}}
            await shared.call("Mailbox/set", update=change)
        elif step == 3:  # in an account that the other cannot reach
            await own.add(b"Subject: mine\r\n\r\nBody\r\n")
        for own, shared in sharing.values():
            for calls in requests(inbox, ids, state):
                for user in (own, shared):
                    body = {
                        "using": [*user.api.registry.capabilities],
                        "methodCalls": [
                            [name, {"accountId": user.account_id, **arguments}, str(number)]
                            for number, (name, arguments) in enumerate(calls)
                        ],
                    }
                    raw = json.dumps(body).encode()
                    found = await user.api.handle(user.principal, raw)
                    given += found is await user.api.handle(user.principal, raw)
                    kept, answers = user.api.kept, user.api.answers
                    user.api.kept, user.api.answers = Kept(0), Answers(0)
                    fresh = await user.api.handle(user.principal, raw)
                    user.api.kept, user.api.answers = kept, answers
                    assert json.loads(found.body) == json.loads(fresh.body)
    assert given > 100


@ensureDeferred
async def test_only_what_goes_by_state_and_succeeds_is_kept(stores):
    alice = await stores.user(ALICE)
    user = {"accountId": alice.account_id}
    for calls, kept in (
        ([["Mailbox/get", user, "0"]], True),
        ([["Core/echo", {}, "0"]], False),
        ([["Mailbox/get", user, "0"], ["Core/echo", {}, "1"]], False),
        ([["Mailbox/get", {**user, "ids": "none"}, "0"]], False),
        ([["Identity/get", user, "0"]], False),
        ([["Email/set", {**user, "create": {}}, "0"]], False),
        ([["Mailbox/get", {**user, "ids": ["x" * 9] * 1000}, "0"]], False),
    ):
        body = {"using": [*alice.api.registry.capabilities], "methodCalls": calls}
        raw = json.dumps(body).encode()
        first = await alice.api.handle(ALICE, raw)
        assert (first is await alice.api.handle(ALICE, raw)) == kept, calls

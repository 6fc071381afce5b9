"""What becomes of open WebSockets and event sources when who opened them changes."""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.errors import TemporaryFailure
from mailhive.http import streams
from mailhive.model.principal import Principal

ENABLE = {"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox"]}
STAFF = Principal("staff", type="group")


@pytest.fixture(autouse=True)
def often(monkeypatch: Any) -> None:
    monkeypatch.setattr(streams, "CHECK", 0.05)


async def pause(seconds: float = 0.01) -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    await done


@pytest.mark.parametrize(
    "renewed",
    [
        AuthenticationFailed("the password was changed"),
        NoAccount("removed"),
        Principal("alice", enabled=False),
        Principal("bob"),
        None,
    ],
)
@pytest_twisted.ensureDeferred
async def test_login_that_holds_no_longer_ends_them(world: Any, renewed: Any) -> None:
    idle, pushed, events = await world.open(), await world.open(), await world.listen()
    pushed.say(ENABLE)
    world.logins.renewed = renewed
    assert await idle.closed() == 1008
    assert await pushed.closed() == 1008
    await events.end()
    while world.site.channels:
        await pause()


@pytest_twisted.ensureDeferred
async def test_ticket_lasts_as_long_as_the_login_it_was_made_with(world: Any) -> None:
    client = await world.open(path=f"/jmap/ws?ticket={await world.ticket()}", Authorization=None)
    world.logins.renewed = None
    assert await client.closed() == 1008


@pytest_twisted.ensureDeferred
async def test_they_stay_while_nobody_can_tell_but_not_for_ever(
    world: Any, monkeypatch: Any
) -> None:
    client, events = await world.open(), await world.listen()
    world.logins.renewed = TemporaryFailure("the directory is down")
    for _ in range(20):
        await pause()
    client.say(world.echo("a"))
    assert (await client.hear())["@type"] == "Response"
    assert not events.gone
    monkeypatch.setattr(streams, "PATIENCE", 0.1)
    assert await client.closed() == 1008
    await events.end()


@pytest_twisted.ensureDeferred
async def test_what_goes_wrong_ends_them(world: Any) -> None:
    client = await world.open()
    world.logins.renewed = ZeroDivisionError()
    assert await client.closed() == 1008


@pytest_twisted.ensureDeferred
async def test_who_changes_is_answered_as_what_they_are_now(world: Any, monkeypatch: Any) -> None:
    asked: list[Principal] = []
    answer = world.alice.api.__class__.answer

    async def noting(self: Any, principal: Principal, *rest: Any) -> Any:
        asked.append(principal)
        return await answer(self, principal, *rest)

    monkeypatch.setattr(world.alice.api.__class__, "answer", noting)
    client = await world.open()
    world.logins.renewed = Principal("alice", quota=5)
    while not asked or asked[-1].quota != 5:
        await pause()
        client.say(world.echo("a"))
        assert (await client.hear())["@type"] == "Response"


@pytest_twisted.ensureDeferred
async def test_who_joins_or_leaves_a_group_hears_of_its_account_or_not(world: Any) -> None:
    directory, alice = world.stores.directory, world.alice
    directory.put(STAFF)
    bob = await world.stores.user(Principal("bob", member_of=("staff",)))
    shared = await bob.shared("staff")
    socket, events = await world.open(), await world.listen("Mailbox")
    socket.say(ENABLE)
    socket.say(world.echo("a"))
    assert (await socket.hear())["@type"] == "Response"  # it hears of changes from then on
    directory.put(Principal("alice", emails=("alice@example.org",), member_of=("staff",)))
    # All of it is new to them, and what changes from now on too.
    state = (await shared.call("Mailbox/get", ids=[]))["state"]
    assert (await socket.hear())["changed"] == {shared.account_id: {"Mailbox": state}}
    assert (await world.event(events))[0] == {shared.account_id: {"Mailbox": state}}
    await shared.call("Mailbox/set", create={"m": {"name": "New"}})
    state = (await shared.call("Mailbox/get", ids=[]))["state"]
    assert (await socket.hear())["changed"] == {shared.account_id: {"Mailbox": state}}
    assert (await world.event(events))[0] == {shared.account_id: {"Mailbox": state}}
    directory.put(Principal("alice", emails=("alice@example.org",)))
    for stream in [*world.streams._open]:
        while shared.account_id in stream._subscription.account_ids:
            await pause()
    await shared.call("Mailbox/set", create={"m": {"name": "Newer"}})
    await alice.call("Mailbox/set", create={"m": {"name": "Own"}})
    state = (await alice.call("Mailbox/get", ids=[]))["state"]
    assert (await socket.hear())["changed"] == {alice.account_id: {"Mailbox": state}}
    assert (await world.event(events))[0] == {alice.account_id: {"Mailbox": state}}

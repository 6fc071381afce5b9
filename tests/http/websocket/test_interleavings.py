"""Changes, disconnects and resumes in any order: nothing is lost and nothing invented.

A client that uses both channels in turn notes what it is told.  Whatever it is told must
be news to it, and in the end it must know the states of all that it asked for.
"""

from itertools import count
from typing import Any

import pytest_twisted
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred

from mailhive.model.principal import Principal
from mailhive.testing.websocket_client import WebSocketClient

MESSAGE = b"Subject: s\r\n\r\nbody\r\n"
STAFF = Principal("staff", type="group")
NAMES = map(str, count())

steps = st.lists(
    st.sampled_from(
        ["mailbox", "email", "flag", "identity", "shared"] * 2
        + ["connect", "socket", "events", "cut", "cut", "wait", "wait"]
    ),
    min_size=4,
    max_size=16,
)
types = st.sets(
    st.sampled_from(["Mailbox", "Email", "Thread", "EmailDelivery", "Identity"]), min_size=1
)


@define(eq=False)
class Knower:
    """A client that notes what it is told, and where it was then."""

    world: Any
    types: set[str]
    known: dict[tuple[str, str], int] = field(factory=dict)
    push_state: str = "nothing"
    client: WebSocketClient | None = None
    reading: Deferred[None] | None = None
    told: int = 0

    def learn(self, changed: dict[str, dict[str, str]], push_state: str) -> None:
        assert changed
        assert push_state != self.push_state
        for account_id, states in changed.items():
            assert states
            assert states.keys() <= self.types
            for name, state in states.items():
                assert int(state) > self.known.get((account_id, name), -1), "no news"
                self.known[account_id, name] = int(state)
        self.push_state = push_state
        self.told += 1

    async def connect(self, channel: str) -> None:
        await self.cut()
        if channel == "socket":
            self.client = await self.world.open()
            self.client.say(
                {
                    "@type": "WebSocketPushEnable",
                    "dataTypes": sorted(self.types),
                    "pushState": self.push_state,
                }
            )
        else:
            self.client = await self.world.listen(",".join(self.types), self.push_state)
        self.reading = ensureDeferred(self.read(channel, self.client))

    async def read(self, channel: str, client: WebSocketClient) -> None:
        try:
            while True:
                if channel == "socket":
                    change = await client.hear()
                    assert change["@type"] == "StateChange"
                    self.learn(change["changed"], change["pushState"])
                else:
                    self.learn(*await self.world.event(client))
        except EOFError:
            return

    async def cut(self) -> None:
        """Lose the connection; what is on its way is lost too."""
        if self.client is not None:
            self.client.transport.abortConnection()
            await self.reading
            self.client = None

    async def catch_up(self) -> None:
        """Wait until it knows the states of all that it asked for."""
        while not await self.is_up_to_date():
            if self.reading.called:
                await self.reading
                raise AssertionError("the connection ended")
            await pause()

    async def is_up_to_date(self) -> bool:
        read = self.world.stores.mail_store.read
        for account_id in (self.world.alice.account_id, self.world.shared.account_id):
            states = await read(account_id, lambda reader: reader.states())
            for name in self.types & states.keys():
                if self.known.get((account_id, name)) != states[name]:
                    return False
        return True


async def pause(seconds: float = 0.005) -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    await done


async def change(world: Any, what: str) -> None:
    if what == "shared":
        await world.shared.call("Mailbox/set", create={"m": {"name": next(NAMES)}})
    elif what == "mailbox":
        await world.alice.call("Mailbox/set", create={"m": {"name": next(NAMES)}})
    elif what == "identity":
        identity = {"name": next(NAMES), "email": "alice@example.org"}
        await world.alice.call("Identity/set", create={"i": identity})
    elif what == "email":
        world.email_id = await world.alice.add(MESSAGE)
    else:
        keyword = {f"keywords/k{next(NAMES)}": True}
        await world.alice.call("Email/set", update={world.email_id: keyword})


@pytest_twisted.async_yield_fixture
async def shared_world(world: Any) -> Any:
    alice = Principal("alice", emails=("alice@example.org",), member_of=("staff",))
    world.stores.directory.put(STAFF, alice)
    world.shared = await world.alice.shared("staff")
    world.email_id = await world.alice.add(MESSAGE)
    yield world


@settings(max_examples=25)
@given(types, steps, st.sampled_from(["socket", "events"]))
@pytest_twisted.ensureDeferred
async def test_nothing_is_lost_and_nothing_invented(
    shared_world: Any, wanted: set[str], steps: list[str], channel: str
) -> None:
    world = shared_world
    knower = Knower(world, wanted)
    await knower.connect(channel)
    for step in steps:
        if step in ("socket", "events"):
            await knower.connect(step)
        elif step == "connect":
            await knower.connect(channel)
        elif step == "cut":
            await knower.cut()
        elif step == "wait":
            await pause(0.06)
        else:
            await change(world, step)
    if knower.client is None:
        await knower.connect(channel)
    await knower.catch_up()
    # Nothing is left: the next that it is told is the next that happens, and once.
    told = knower.told
    await knower.connect(channel)
    await change(world, "shared")
    await change(world, "email")
    await knower.catch_up()
    assert knower.told <= told + 2
    await knower.cut()

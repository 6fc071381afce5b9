"""Whatever changes, fails and crashes, in the end subscribers know what there is, and no more.

MAILHIVE_HISTORIES says how many random histories there are, a few by default.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.config.units import Duration
from mailhive.config.web_push import JmapWebPush
from mailhive.model.changes import StateChange
from mailhive.model.principal import Principal
from mailhive.push.ledger import Entry
from mailhive.push.state import decode_push_state
from mailhive.testing.certificates import make_certificate
from mailhive.testing.local import LocalStores, LocalUser
from mailhive.testing.pusher import Pusher, read
from mailhive.testing.web_push import HANG, Answer, PushService, Subscriber

HISTORIES = int(os.environ.get("MAILHIVE_HISTORIES", "25"))
MESSAGE = b"Subject: s\r\n\r\nbody\r\n"
TYPES = ("Email", "EmailDelivery", "Identity", "Mailbox", "Thread")

KINDS = st.sampled_from(["mail", "flag", "mailbox", "identity"])
CHANGES = st.tuples(st.just("change"), KINDS)
ANSWERS = st.tuples(
    st.just("answer"),
    st.sampled_from(
        [Answer(), Answer(500), Answer(302), Answer(429), Answer(429, {"Retry-After": "60"}), HANG]
    ),
)
TIMES = st.tuples(st.just("wait"), st.sampled_from([0, 2, 15, 300]))
ENDS = st.tuples(st.sampled_from(["crash", "restart"]), st.none() | KINDS)
STEPS = st.lists(
    st.one_of(CHANGES, CHANGES, ANSWERS, ANSWERS, TIMES, ENDS), min_size=10, max_size=25
)
WANTED = st.lists(
    st.none() | st.lists(st.sampled_from(TYPES), min_size=1, unique=True), min_size=1, max_size=2
)


@define
class Told:
    """What one subscriber knows: that of the beginning, and what the push service took."""

    subscriber: Subscriber | None
    types: tuple[str, ...]
    states: dict[str, int]


@define
class History:
    """One user, whose subscribers are told by one pusher."""

    user: LocalUser
    pusher: Pusher
    been: set[tuple[str, int]] = field(factory=set)  # every state of a type that there was
    told: dict[str, Told] = field(factory=dict)  # by the path of the URL
    emails: list[str] = field(factory=list)

    def committed(self, change: StateChange) -> None:
        if change.account_id == self.user.account_id:
            self.been.update(change.changed.items())

    def answered(self, answer: Answer) -> None:
        push = self.pusher.service.received[-1]
        told = self.told.get(push.path)
        if told is None or answer.status != 201:
            return
        content = read(push, told.subscriber)
        assert content["changed"].keys() == {self.user.account_id}
        for name, state in content["changed"][self.user.account_id].items():
            assert name in told.types
            assert (name, int(state)) in self.been  # never invented
            assert int(state) >= told.states.get(name, 0)
            told.states[name] = int(state)

    async def states(self) -> dict[str, int]:
        store = self.pusher.stores.mail_store
        found: dict[str, int] = await store.read(self.user.account_id, lambda r: r.states())
        return found

    async def subscribe(self, number: int, types: list[str] | None) -> None:
        subscriber = Subscriber() if number else None
        path = f"{self.user.principal.name}-{number}"
        before = await self.states()
        await self.pusher.subscribe(
            self.user, subscriber, url=self.pusher.service.url(path), types=types
        )
        self.told[path] = Told(subscriber, tuple(types or TYPES), before)

    async def step(self, what: str, value: Any) -> None:
        match what:
            case "change":
                await self.change(value)
            case "answer":
                self.pusher.service.script.append(value)
            case "wait":
                self.pusher.clock.advance(value)
            case "restart" | "crash":
                await (self.pusher.stop() if what == "restart" else self.pusher.crash())
                if value is not None:  # something happens meanwhile
                    await self.change(value)
                self.pusher.start()
        await deferLater(reactor, 0.003)

    async def change(self, what: str) -> None:
        if what == "mail" or (what == "flag" and not self.emails):
            self.emails.append(await self.user.add(MESSAGE))
        elif what == "flag":
            keyword = f"keywords/k{len(self.been)}"
            await self.user.call("Email/set", update={self.emails[-1]: {keyword: True}})
        elif what == "mailbox":
            await self.user.call("Mailbox/set", create={"m": {"name": f"m{len(self.been)}"}})
        else:
            identity = {"name": str(len(self.been)), "email": self.user.principal.emails[0]}
            await self.user.call("Identity/set", create={"i": identity})

    async def quiet(self) -> None:
        """All that is to be told is told, once the push service does as it should."""
        self.pusher.service.script.clear()
        self.pusher.service.answer_hanging(500)
        now = await self.states()
        for _ in range(100):
            await self.pusher.rest()
            if all(self.is_known(told, now) for told in self.told.values()) and all(
                self.is_noted(entry, now) for entry in self.pusher.entries()
            ):
                return
            self.pusher.clock.advance(600)
            await deferLater(reactor, 0.02)
        pytest.fail(f"not told: {now} {self.told} {self.pusher.entries()}")

    @staticmethod
    def is_known(told: Told, now: dict[str, int]) -> bool:
        """Does a subscriber know all states of now?"""
        return all(told.states.get(name, 0) == now.get(name, 0) for name in told.types)

    def is_noted(self, entry: Entry, now: dict[str, int]) -> bool:
        """Else it is told again: the pusher may have crashed before it wrote that down."""
        position = decode_push_state(entry.position) or {}
        types = entry.subscription.types or TYPES
        return position[self.user.account_id] >= max(now.get(name, 0) for name in types)


async def play(history: History, wanted: list[list[str] | None], steps: list[Any]) -> None:
    pusher, store = history.pusher, history.pusher.stores.mail_store
    store.observe(history.committed)
    pusher.service.answered = history.answered
    pusher.directory.mkdir()
    pusher.start()
    try:
        history.been.update((await history.states()).items())
        for number, types in enumerate(wanted):
            await history.subscribe(number, types)
        for step in steps:
            await history.step(*step)
        await history.quiet()
        count = len(pusher.service.received)
        for _ in range(5):  # nothing more is to be said
            pusher.clock.advance(3600)
            await deferLater(reactor, 0.005)
        assert len(pusher.service.received) == count
    finally:
        await pusher.crash()


@pytest_twisted.ensureDeferred
async def test_random_histories(
    stores: LocalStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = make_certificate("localhost")
    monkeypatch.setattr("mailhive.push.hub.GATHER", 0.001)
    monkeypatch.setattr("mailhive.push.courier.MOST_FAILURES", {False: 100, True: 100})
    numbers = iter(range(1_000_000))

    async def begin() -> History:
        name = f"user{next(numbers)}"
        user = await stores.user(Principal(name, emails=(f"{name}@example.org",)))
        service = PushService.listen(reactor, pem)
        settings = JmapWebPush(throttle=Duration(1.0))
        # Longer than a handshake takes on a busy machine: this clock is the real one.
        return History(user, Pusher(stores, tmp_path / name, service, pem, settings, 2.0))

    async def run(wanted: list[list[str] | None], steps: list[Any]) -> None:
        history = await begin()
        try:
            await play(history, wanted, steps)
        finally:
            await history.pusher.service.stop()

    @settings(max_examples=HISTORIES)
    @given(WANTED, STEPS)
    def histories(wanted: list[list[str] | None], steps: list[Any]) -> None:
        blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(run(wanted, steps)))

    await deferToThread(histories)

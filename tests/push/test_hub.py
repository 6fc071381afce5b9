"""The hub: what a subscriber is told, and when (RFC 8620 §7)."""

from typing import Any

import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from mailhive.jmap.registry import Registry
from mailhive.model.changes import StateChange
from mailhive.model.principal import Principal
from mailhive.push.hub import AT_A_TIME, GATHER, PushHub
from mailhive.push.state import decode_push_state, encode_push_state
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = b"Subject: s\r\n\r\nbody\r\n"
TYPES = Registry.load().push_types


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True), st.integers(0, 2**63)))
def test_push_states_come_back(modseqs: dict[str, int]) -> None:
    assert decode_push_state(encode_push_state(modseqs)) == modseqs


@given(st.text(max_size=30))
def test_any_text_is_a_push_state_or_none(text: str) -> None:
    decoded = decode_push_state(text)
    assert decoded is None or decode_push_state(encode_push_state(decoded)) == decoded


class Listener:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.woken: Deferred[None] = Deferred()

    def wake(self) -> None:
        woken, self.woken = self.woken, Deferred()
        woken.callback(None)


async def settle() -> None:
    await deferLater(reactor, GATHER * 3)


def test_every_type_with_changes_is_pushed() -> None:
    assert {"Mailbox", "Thread", "Email", "EmailDelivery"} <= TYPES
    assert "Core" not in TYPES


@pytest_twisted.ensureDeferred
async def test_changes_that_come_together_are_told_as_one(
    server: LocalUser, stores: LocalStores
) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    listener = Listener()
    subscription = await hub.subscribe([server.account_id], None, None, listener.wake)
    woken = listener.woken
    email_id = await server.add(MESSAGE)
    await server.call("Email/set", update={email_id: {"keywords/$seen": True}})
    await woken
    await settle()
    changed, push_state = subscription.take()
    states = changed[server.account_id]
    assert states.keys() == {"Mailbox", "Thread", "Email", "EmailDelivery"}
    assert states["Email"] == (await server.call("Email/get", ids=[]))["state"]
    assert states["EmailDelivery"] != states["Email"]
    assert subscription.take() is None
    # Who was away since then has missed nothing; who was away before, all of it.
    other = await hub.subscribe([server.account_id], None, push_state, listener.wake)
    await settle()
    assert other.take() is None
    for old in ("", "nonsense!", encode_push_state({server.account_id: 0})):
        late = await hub.subscribe([server.account_id], ["Email"], old, listener.wake)
        changed, again = late.take()
        assert changed == {server.account_id: {"Email": states["Email"]}}
        assert again == push_state
    subscription.stop()
    await server.add(MESSAGE)
    await settle()
    assert subscription.take() is None


@pytest_twisted.ensureDeferred
async def test_only_what_was_asked_for_wakes(server: LocalUser, stores: LocalStores) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    email_id = await server.add(MESSAGE)
    listener = Listener()
    subscription = await hub.subscribe([server.account_id], ["EmailDelivery"], None, listener.wake)
    woken = listener.woken
    await server.call("Email/set", update={email_id: {"keywords/$seen": True}})
    await settle()
    assert not woken.called
    assert subscription.take() is None
    await server.add(MESSAGE)
    await woken
    changed, _ = subscription.take()
    assert changed[server.account_id].keys() == {"EmailDelivery"}


@pytest_twisted.ensureDeferred
async def test_going_on_with_other_accounts_loses_nothing(
    server: LocalUser, stores: LocalStores
) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    bob = await stores.user(Principal("bob"))
    listener = Listener()
    old = await hub.subscribe([server.account_id], ["Mailbox"], None, listener.wake)
    await server.call("Mailbox/set", create={"m": {"name": "not taken yet"}})
    both = [server.account_id, bob.account_id]
    new = await hub.move(old, both)
    states = {
        user.account_id: {"Mailbox": (await user.call("Mailbox/get", ids=[]))["state"]}
        for user in (server, bob)
    }
    taken = new.take()
    assert taken is not None
    assert taken[0] == states
    assert old.take() is None
    same = await hub.move(new, both)
    await settle()
    assert same.take() is None
    assert same.push_state == taken[1]
    less = await hub.move(same, [server.account_id])
    await bob.call("Mailbox/set", create={"m": {"name": "of no interest"}})
    await settle()
    assert less.take() is None


@pytest_twisted.ensureDeferred
async def test_what_changes_while_somebody_is_let_in_is_told(
    server: LocalUser, stores: LocalStores
) -> None:
    listener = Listener()

    class Slow:
        """A mail store in which a change is committed before it is read."""

        observe = staticmethod(stores.mail_store.observe)

        async def read(self, account_id: str, fn: Any) -> Any:
            await server.call("Mailbox/set", create={"m": {"name": "meanwhile"}})
            return await stores.mail_store.read(account_id, fn)

    hub = PushHub(Slow(), TYPES, reactor)
    subscription = await hub.subscribe([server.account_id], None, None, listener.wake)
    state = (await server.call("Mailbox/get", ids=[]))["state"]
    taken = subscription.take()
    assert taken is not None
    assert taken[0] == {server.account_id: {"Mailbox": state}}
    assert subscription.take() is None


@pytest_twisted.ensureDeferred
async def test_push_state_ahead_of_a_restored_account_is_worth_nothing(
    server: LocalUser, stores: LocalStores
) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    ahead = encode_push_state({server.account_id: 10_000})
    subscription = await hub.subscribe([server.account_id], ["Mailbox"], ahead, Listener().wake)
    taken = subscription.take()
    assert taken is not None
    state = (await server.call("Mailbox/get", ids=[]))["state"]
    assert taken[0] == {server.account_id: {"Mailbox": state}}


@pytest_twisted.ensureDeferred
async def test_account_that_is_gone_is_left_out(server: LocalUser, stores: LocalStores) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    gone = await stores.user(Principal("gone"))
    await stores.mail_store.delete_account(gone.account_id)
    accounts = [gone.account_id, server.account_id]
    subscription = await hub.subscribe(accounts, ["Mailbox"], "", Listener().wake)
    taken = subscription.take()
    assert taken is not None
    assert taken[0].keys() == {server.account_id}


@pytest_twisted.ensureDeferred
async def test_subscriber_that_fails_does_not_keep_others_waiting(
    server: LocalUser, stores: LocalStores
) -> None:
    hub = PushHub(stores.mail_store, TYPES, reactor)
    listeners = [Listener() for _ in range(AT_A_TIME + 1)]
    subscriptions = [
        await hub.subscribe([server.account_id], None, None, wake)
        for wake in (lambda: 1 / 0, *(listener.wake for listener in listeners))
    ]
    waiting = [listener.woken for listener in listeners]
    await server.add(MESSAGE)
    for woken in waiting:
        await woken
    told = {str(subscription.take()) for subscription in subscriptions}
    assert len(told) == 1


@pytest_twisted.ensureDeferred
async def test_what_was_not_heard_of_another_process_is_found(
    server: LocalUser, stores: LocalStores
) -> None:
    """Its commits are in the files, whatever became of its word of them."""
    hub = PushHub(stores.mail_store, TYPES, reactor)
    listener = Listener()
    subscription = await hub.subscribe([server.account_id], None, None, listener.wake)
    stores.mail_store._observers.remove(hub._committed)
    await server.add(MESSAGE)
    await settle()
    assert subscription.take() is None
    hub.look_again(lambda account_id: account_id != server.account_id)
    await settle()
    assert subscription.take() is None
    woken = listener.woken
    hub.look_again(lambda account_id: account_id == server.account_id)
    await woken
    changed, _ = subscription.take()
    states = changed[server.account_id]
    assert states.keys() == {"Mailbox", "Thread", "Email", "EmailDelivery"}
    hub.look_again(lambda _: True)
    hub._committed(StateChange(server.account_id, {n: int(s) for n, s in states.items()}))
    await settle()
    assert subscription.take() is None  # it was told already

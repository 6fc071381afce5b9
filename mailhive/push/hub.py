"""The hub: every committed change, to every subscriber that asked for it (RFC 8620 §7.1).

A subscriber holds no queue.  What it has not taken yet is one state for each
type of each account, the latest, so that a slow one costs as little as a fast
one, and changes that come close together are told as one.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.logger import Logger

from mailhive.errors import AccountNotFound, NotFound, TemporaryFailure
from mailhive.model.changes import StateChange
from mailhive.push.state import decode_push_state, encode_push_state

__all__ = ["PushHub", "Subscription"]

_log = Logger()

#: Seconds in which changes are gathered before they are told.
GATHER = 0.05
#: Subscribers that are told before others have a turn.
AT_A_TIME = 50


@define(eq=False)
class Subscription:
    """One connected client.

    `wake()` is called when there is something to `take`, and not again until it
    was taken.
    """

    account_ids: frozenset[str]
    types: frozenset[str]
    wake: Callable[[], None]
    _hub: "PushHub"
    _pending: dict[str, dict[str, int]] = field(factory=dict)
    _position: dict[str, int] = field(factory=dict)  # modseq heard of, by account
    _told: dict[str, int] = field(factory=dict)  # the same when it was last taken
    _started: bool = False
    _woken: bool = False

    def take(self) -> tuple[dict[str, dict[str, str]], str] | None:
        """`changed` of a StateChange and the push state after it; None if nothing changed."""
        self._woken = False
        if not self._pending:
            return None
        changed = {
            account_id: {name: str(state) for name, state in sorted(states.items())}
            for account_id, states in self._pending.items()
        }
        self._pending = {}
        self._told = dict(self._position)
        return changed, self.push_state

    @property
    def push_state(self) -> str:
        """Where to go on for somebody who knows all that was taken, and nothing since."""
        return encode_push_state(self._told)

    def tell(self) -> None:
        """Call `wake`; called by the hub."""
        if self._pending:
            self.wake()

    def stop(self) -> None:
        """Hear no more.  Idempotent."""
        self._hub.forget(self)
        self._pending = {}

    def hear(self, change: StateChange) -> None:
        """A commit; called by the hub.

        That of another process may be heard after its effect was seen.
        """
        told = self._told.get(change.account_id, -1)
        news = {name: state for name, state in change.changed.items() if state > told}
        self._add(change.account_id, news, max(change.changed.values(), default=0))
        if self._started:
            self._announce()

    def start(self, now: Mapping[str, tuple[int, dict[str, int]]], push_state: str | None) -> None:
        """Set out from a push state, or from the present for None; called by the hub.

        `now` has the modseq and the states of each account, read after the hub
        began to call `hear`.  Of a push state that we did not make it is only
        known that everything may have changed since, and of one that is ahead of an
        account, which was restored from a backup, too.
        """
        known = None if push_state is None else (decode_push_state(push_state) or {})
        for account_id, (modseq, states) in now.items():
            if known is None:  # what was heard came after the present
                heard = self._pending.get(account_id, {}).values()
                since = min([modseq, *(state - 1 for state in heard)])
            else:
                since = known.get(account_id, -1)
            if 0 <= since <= modseq:
                self._told[account_id] = since
            else:
                since = -1
            self._add(account_id, states, modseq)
            pending = self._pending.pop(account_id, {})
            news = {name: state for name, state in pending.items() if state > since}
            if news:
                self._pending[account_id] = news
        self._started = True
        self._announce()

    def _add(self, account_id: str, states: Mapping[str, int], modseq: int) -> None:
        wanted = {name: state for name, state in states.items() if name in self.types}
        if wanted:
            pending = self._pending.setdefault(account_id, {})
            for name, state in wanted.items():
                pending[name] = max(state, pending.get(name, 0))
        self._position[account_id] = max(modseq, self._position.get(account_id, 0))

    def _announce(self) -> None:
        if self._pending and not self._woken:
            self._woken = True
            self._hub.announce(self)


class PushHub:
    """All subscriptions of a process, fed by the commits of its mail store.

    `types` are the types that are told of.
    """

    def __init__(self, store: Any, types: Iterable[str], reactor: Any) -> None:
        self.types = frozenset(types)
        self.reactor = reactor
        self._store = store
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._announced: list[Subscription] = []
        store.observe(self._committed)

    async def subscribe(
        self,
        account_ids: Iterable[str],
        types: Iterable[str] | None,
        push_state: str | None,
        wake: Callable[[], None],
    ) -> Subscription:
        """Tell of changes in these accounts and types (all for None).

        With a push state, what changed since is told at once, and only if
        something did; without, only what changes from now on.
        """
        subscription = Subscription(
            frozenset(account_ids),
            self.types if types is None else self.types & frozenset(types),
            wake,
            self,
        )
        for account_id in subscription.account_ids:
            self._subscriptions.setdefault(account_id, set()).add(subscription)
        now = {}
        try:
            for account_id in subscription.account_ids:
                with suppress(AccountNotFound):  # it is gone since it was looked up
                    now[account_id] = await self._store.read(account_id, _states)
        except BaseException:
            subscription.stop()
            raise
        subscription.start(now, push_state)
        return subscription

    async def move(self, old: Subscription, account_ids: Iterable[str]) -> Subscription:
        """Go on with other accounts: all of a new one is news, the others where `old` was."""
        old.stop()
        return await self.subscribe(account_ids, old.types, old.push_state, old.wake)

    def look_again(self, concerns: Callable[[str], bool]) -> None:
        """Commits in some accounts may not have been heard: see what is new there."""
        for account_id in filter(concerns, list(self._subscriptions)):
            seen = self._store.read(account_id, _states)
            seen.addCallback(lambda now, a=account_id: self._committed(StateChange(a, now[1])))
            seen.addErrback(lambda failure: failure.trap(NotFound, TemporaryFailure) and None)

    def announce(self, subscription: Subscription) -> None:
        """Wake a subscriber soon."""
        self._announced.append(subscription)
        if len(self._announced) == 1:
            self.reactor.callLater(GATHER, self._tell)

    def _tell(self) -> None:
        # Whoever is announced while these are told is told next time.
        announced, self._announced = self._announced[:AT_A_TIME], self._announced[AT_A_TIME:]
        if self._announced:
            self.reactor.callLater(0, self._tell)
        for subscription in announced:
            try:
                subscription.tell()
            except Exception:
                _log.failure("a subscriber could not be told")

    def forget(self, subscription: Subscription) -> None:
        """End a subscription."""
        for account_id in subscription.account_ids:
            others = self._subscriptions.get(account_id)
            if others is not None:
                others.discard(subscription)
                if not others:
                    del self._subscriptions[account_id]

    def _committed(self, change: StateChange) -> None:
        for subscription in tuple(self._subscriptions.get(change.account_id, ())):
            subscription.hear(change)


def _states(reader: Any) -> tuple[int, dict[str, int]]:
    return reader.modseq, reader.states()

"""The outbox of a worker that is not the office, and how the office answers for it.

What a worker holds when it ends is settled by the record, as everything is that a
crash of all leaves held.  What a worker holds when the office ends stays held for it:
the next office asks the workers before it settles anything.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.errors import TemporaryFailure
from mailhive.interfaces.outbox import IOutbox
from mailhive.model.outbound import OutboundMessage, OutboundStatus

__all__ = ["Desk", "RemoteOutbox"]

#: Seconds that a new office waits to hear what workers hold: longer than one may hang
#: before it is replaced (`workers.supervisor`).
_PATIENCE = 90.0


@implementer(IOutbox)
class RemoteOutbox:
    """That of the office, number 0 of `peers` (`IPeers`)."""

    _log = Logger()

    def __init__(self, peers: Any) -> None:
        self._peers = peers
        self._held: set[str] = set()
        peers.on_join(self._joined)

    def submit(self, message: OutboundMessage, *, held: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(self._submit(message, held))

    async def _submit(self, message: OutboundMessage, held: bool) -> None:
        await self._call("submit", message, held)
        self._holds(message.id, held)

    def hold(self, message_id: str) -> Deferred[bool]:
        return self._call("hold", message_id).addCallback(partial(self._holds, message_id))

    def release(self, message_id: str) -> Deferred[None]:
        return self._end_hold("release", message_id)

    def cancel(self, message_id: str) -> Deferred[None]:
        return self._end_hold("cancel", message_id)

    def settle(self, message_id: str) -> Deferred[None]:
        return self._end_hold("settle", message_id)

    def status(self, message_id: str) -> Deferred[OutboundStatus | None]:
        return self._call("status", message_id)

    def expedite(self, message_id: str) -> Deferred[None]:
        return self._call("expedite", message_id)

    def blob_ids(self, after: str, until: str, limit: int) -> Deferred[Sequence[str]]:
        return self._call("blob_ids", after, until, limit)

    def _call(self, name: str, *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = self._peers.call(0, f"outbox.{name}", *args)
        return done

    def _holds(self, message_id: str, held: bool) -> bool:
        if held:
            self._held.add(message_id)
        return held

    def _end_hold(self, name: str, message_id: str) -> Deferred[None]:
        """An office that does not hear it any more leaves it to the next, who asks the record."""
        self._held.discard(message_id)
        return self._call(name, message_id).addErrback(self._left, message_id)

    def _left(self, failure: Failure, message_id: str) -> None:
        failure.trap(TemporaryFailure)
        self._log.warn(
            "Message {id} is left to another office: {why}",
            id=message_id,
            why=failure.getErrorMessage(),
        )

    def _joined(self, worker: int) -> None:
        if worker == 0:
            told = self._call("holding", sorted(self._held))
            told.addErrback(lambda failure: failure.trap(TemporaryFailure) and None)


@define(eq=False)
class Desk:
    """Does with the office's `outbox` what others ask for."""

    peers: Any
    reactor: Any
    outbox: Any = None  # IOutbox
    _held: dict[Any, set[str]] = field(factory=dict, init=False)  # by caller
    _taken_over: set[str] = field(factory=set, init=False)
    _told: dict[int, Deferred[None]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._told = {worker: Deferred() for worker in range(1, self.peers.count)}
        for name in ("status", "expedite", "blob_ids"):
            self._serve(name, partial(self._plain, name))
        for name in ("release", "cancel", "settle"):
            self._serve(name, partial(self._end_hold, name))
        self._serve("submit", self._submit)
        self._serve("hold", self._hold)
        self._serve("holding", self._holding)

    def _serve(self, name: str, function: Any) -> None:
        self.peers.serve(f"outbox.{name}", function)

    async def is_taken_over(self, message_id: str) -> bool:
        """Does a worker hold what the last office has left held?"""
        told = DeferredList(list(self._told.values()), consumeErrors=True)
        with suppress(DeferredTimeout):  # who is not there holds nothing
            await told.addTimeout(_PATIENCE, self.reactor)
        return message_id in self._taken_over

    def _plain(self, name: str, _: Any, *args: Any) -> Any:
        return getattr(self.outbox, name)(*args)

    async def _submit(self, caller: Any, message: OutboundMessage, held: bool) -> None:
        await self.outbox.submit(message, held=held)
        if held:
            self._keep(caller, message.id)

    async def _hold(self, caller: Any, message_id: str) -> bool:
        held: bool = await self.outbox.hold(message_id)
        if held:
            self._keep(caller, message_id)
        return held

    def _holding(self, caller: Any, message_ids: Sequence[str]) -> None:
        for message_id in message_ids:
            self._taken_over.add(message_id)
            self._keep(caller, message_id)
        told = self._told.get(caller.index)
        if told is not None and not told.called:
            told.callback(None)

    def _keep(self, caller: Any, message_id: str) -> None:
        if caller.gone.called:
            self.outbox.settle(message_id)
            return
        if caller not in self._held:
            self._held[caller] = set()
            caller.gone.addCallback(self._gone, caller)
        self._held[caller].add(message_id)

    def _end_hold(self, name: str, caller: Any, message_id: str) -> Any:
        held = self._held.get(caller, set())
        if message_id not in held:  # since the last office, and it waited for this one to say so
            self._taken_over.add(message_id)
        held.discard(message_id)
        return getattr(self.outbox, name)(message_id)

    def _gone(self, _: object, caller: Any) -> None:
        for message_id in self._held.pop(caller):
            self.outbox.settle(message_id)

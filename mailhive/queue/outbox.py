"""The embedded outbox: an SQLite file, and what works it off.

    data-dir/outbox.sqlite

One thread has the file, so that changes are made in the order in which they were
asked for.  A message has one owner at a time, an attempt to send it or somebody
who holds it: that is its lock.  Nothing of a message is in memory but the lock
and the attempt, so that a start needs no more than to look what is due.
"""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.interfaces.outbox import IOutbox
from mailhive.model.outbound import OutboundMessage, OutboundStatus, RecipientStatus
from mailhive.queue.handover import Handover, is_waiting
from mailhive.queue.ledger import SCHEMA, Ledger
from mailhive.queue.locks import Locks
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.thread import FileThread

__all__ = ["LIFE", "PAUSES", "Outbox"]

#: Seconds between attempts; the last one again and again.
PAUSES = (60, 300, 900, 1_800, 3_600, 7_200, 14_400)
#: Seconds after which a message is given up when it cannot be sent (RFC 5321 §4.5.4.1).
LIFE = 5 * 86_400
#: Messages that are sent at once.
_AT_ONCE = 20
#: Seconds that somebody who wants to hold a message waits for an attempt to end.
_PATIENCE = 5.0
#: Seconds until something is tried again that a store refused.
_REST = 30.0
#: Seconds that attempts have to end when the daemon stops.
_DRAIN = 2.0


@implementer(IOutbox)
class Outbox(Service):
    """`IOutbox` on the file at `path`.

    `submissions` provides `ISubmissions`.  `clock` is there for tests, which let
    time pass as they like.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        submissions: Any,
        reactor: Any,
        clock: Any = None,
    ) -> None:
        self._path = path
        self._handover = Handover()
        self._submissions = submissions
        self._reactor = reactor
        self._clock = clock or reactor
        self._file: FileThread[Ledger] = FileThread("outbox", reactor)
        self._locks = Locks()
        self._work: set[Deferred[Any]] = set()
        self._attempts: set[str] = set()
        self._alarms: set[Any] = set()  # IDelayedCall
        self._next_look: Any = None  # IDelayedCall
        self._looking = self._look_again = False

    def add_transport(self, transport: Any) -> None:
        """Offer an `ITransport` what those added before it do not take; before the start."""
        self._handover.transports.append(transport)

    # IService

    def startService(self) -> None:
        """Open the file; blocks.  `SchemaError` when it was written by a newer mailhive."""
        ledger = self._file.open(self._path, self._open)
        held, untold = ledger.held(), ledger.untold()
        super().startService()
        for message_id in held:
            self._begin(self._settle_held(message_id))
        for message_id in untold:
            self._begin(self._tell_later(message_id))
        self._look()

    def _open(self, connection: Connection) -> Ledger:
        SCHEMA.apply(connection)
        ledger = Ledger(connection)
        ledger.wake(self._now())
        return ledger

    async def _stop(self) -> None:
        for alarm in (*self._alarms, self._next_look):
            if alarm is not None and alarm.active():
                alarm.cancel()
        self._alarms.clear()
        deadline = self._reactor.seconds() + _DRAIN
        while self._work and (left := deadline - self._reactor.seconds()) > 0:  # some begins more
            await DeferredList(list(self._work)).addTimeout(left, self._reactor)
        await self._file.close()

    def stopService(self) -> Deferred[None]:
        """Begin nothing more, and let end what is under way."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    # IOutbox

    def submit(self, message: OutboundMessage, *, held: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(self._submit(message, held))

    def hold(self, message_id: str) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._hold(message_id))

    def release(self, message_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._end_hold(message_id, wanted=True))

    def cancel(self, message_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._end_hold(message_id, wanted=False))

    def settle(self, message_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._settle(message_id))

    def status(self, message_id: str) -> Deferred[OutboundStatus | None]:
        return self._run(Ledger.status, message_id)

    def blob_ids(self, after: str, until: str, limit: int) -> Deferred[Sequence[str]]:
        return self._run(Ledger.blob_ids, after, until, limit)

    async def _submit(self, message: OutboundMessage, held: bool) -> None:
        if held:
            await self._locks.acquire(message.id)
        try:
            await self._run(Ledger.add, message, held, self._now())
        except BaseException:
            if held:
                self._locks.release(message.id)
            raise
        self._look()

    async def _hold(self, message_id: str) -> bool:
        try:
            await self._locks.acquire(message_id).addTimeout(_PATIENCE, self._clock)
        except DeferredTimeout:
            return False
        held = False
        try:
            held = await self._run(Ledger.hold, message_id)
        finally:
            if not held:
                self._locks.release(message_id)
        return held

    async def _end_hold(self, message_id: str, *, wanted: bool) -> None:
        try:
            if wanted:
                await self._run(Ledger.release, message_id, self._now())
            else:
                await self._run(Ledger.cancel, message_id)
        except TemporaryFailure as error:
            # It stays held, also for a later start, until this comes through.
            self._log.warn("Message {id} stays held: {why}", id=message_id, why=str(error))
            self._in_a_while(lambda: self._end_hold(message_id, wanted=wanted))
            return
        self._locks.release(message_id)
        self._look()

    async def _settle(self, message_id: str) -> None:
        wanted = False
        try:
            status: OutboundStatus | None = await self._run(Ledger.status, message_id)
            wanted = status is not None and await self._submissions.is_wanted(status)
        except Exception as error:
            self._report(error, "Message {id} stays held", message_id)
            self._in_a_while(lambda: self._settle(message_id))
        else:
            await self._end_hold(message_id, wanted=wanted)

    async def _settle_held(self, message_id: str) -> None:
        await self._locks.acquire(message_id)
        await self._settle(message_id)

    # What is due

    def _look(self) -> None:
        """See what is due now, and when to see again."""
        self._look_again = True
        if self.running and not self._looking:
            self._looking = True
            self._begin(self._see())

    async def _see(self) -> None:
        pause: float | None = _REST
        try:
            while self._look_again and self.running:
                self._look_again = False
                pause = await self._start_attempts()
        except Exception as error:
            self._report(error, "The outbox cannot see what is due", "")
        finally:
            self._looking = False
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()
        if pause is not None and self.running:
            self._next_look = self._clock.callLater(pause, self._look)

    async def _start_attempts(self) -> float | None:
        """Begin what is due, as many as may be; seconds until there is more, if that is known."""
        now = self._now()
        due = await self._run(Ledger.due, now, _AT_ONCE + len(self._attempts))
        if not self.running:
            return None
        for message_id in due:
            if message_id not in self._attempts and len(self._attempts) < _AT_ONCE:
                self._attempts.add(message_id)
                self._begin(self._attempt(message_id))
        later: int | None = await self._run(Ledger.next_due, now)
        return None if later is None else max(0.0, (later - now) / 1000)

    async def _attempt(self, message_id: str) -> None:
        try:
            async with self._locks.having(message_id):
                if await self._run(Ledger.is_ready, message_id):
                    await self._send(message_id)
        except Exception as error:
            # Perhaps somebody has the message and it cannot be noted: no haste.
            self._report(error, "An attempt to send message {id} failed", message_id)
            self._in_a_while(lambda: self._rested(message_id))
        else:
            await self._rested(message_id)

    async def _rested(self, message_id: str) -> None:
        self._attempts.discard(message_id)
        self._look()

    # One attempt

    async def _send(self, message_id: str) -> None:
        status = await self._run(Ledger.status, message_id)
        attempts = await self._run(Ledger.attempts, message_id) + 1
        message = status.message
        is_old = self._now() - message.submitted_at > LIFE * 1000
        known = {recipient.address: recipient for recipient in status.recipients}
        again = False
        async for results in self._handover.results(message, status.waiting):
            if is_old:
                results = [_given_up(result) for result in results]
            again = again or any(r.delivered == "queued" and not is_waiting(r) for r in results)
            changed = [result for result in results if result != known[result.address]]
            if changed:
                await self._run(Ledger.note, message_id, changed)
                await self._tell(message_id)
        pause = PAUSES[min(attempts, len(PAUSES)) - 1]
        due_at = self._now() + pause * 1000 if again else None
        await self._run(Ledger.end_attempt, message_id, attempts, due_at)

    # Telling

    async def _tell(self, message_id: str) -> None:
        """Have the EmailSubmission say how far the message has come; later if not now."""
        try:
            status = await self._run(Ledger.status, message_id)
            if status is None or status.message.account_id is None:
                return
            await self._submissions.tell(status)
            await self._run(Ledger.told, message_id)
        except CancelledError:
            raise
        except Exception as error:
            self._report(error, "The submission of message {id} is not up to date", message_id)
            self._in_a_while(lambda: self._tell_later(message_id))

    async def _tell_later(self, message_id: str) -> None:
        async with self._locks.having(message_id):
            await self._tell(message_id)

    # Work

    def _now(self) -> int:
        return int(self._clock.seconds() * 1000)

    def _run(self, method: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Call a method of the ledger on its thread."""
        return self._file.run(method, *args)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for but the end of the service."""
        doing: Deferred[Any] = Deferred.fromCoroutine(work)
        if not doing.called:
            self._work.add(doing)

        def done(result: Any) -> None:
            self._work.discard(doing)
            if isinstance(result, Failure):
                self._report(result.value, "Work on the outbox failed", "")

        doing.addBoth(done)

    def _in_a_while(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self.running:
            return

        def begin() -> None:
            self._alarms.discard(alarm)
            self._begin(work())

        alarm = self._clock.callLater(_REST, begin)
        self._alarms.add(alarm)

    def _report(self, error: BaseException | None, what: str, message_id: str) -> None:
        if isinstance(error, CancelledError):  # the daemon stops
            return
        if isinstance(error, MailhiveError):
            self._log.warn(what + ": {why}", id=message_id, why=str(error))
        else:
            self._log.failure(what, Failure(error), id=message_id)


def _given_up(result: RecipientStatus) -> RecipientStatus:
    """What becomes of a recipient that was tried in vain for too long."""
    if result.delivered != "queued" or is_waiting(result):
        return result
    # RFC 3463 §3.5: X.4.7, delivery time expired.
    reply = f"550 5.4.7 Given up after {LIFE // 86_400} days: {result.reply}"
    return RecipientStatus(result.address, "no", reply)

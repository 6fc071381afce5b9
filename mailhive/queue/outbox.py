"""The embedded outbox: an SQLite file, and what works it off.

    data-dir/outbox.sqlite

One thread has the file, so that changes are made in the order in which they were
asked for.  What is attempted is a message at a destination; attempts of a message
at several destinations go on side by side, and none while somebody holds the
message: `Claims`.  Nothing of a message is in memory but claims and attempts, so
that a start needs no more than to look what is due.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.config.relay import QueueSettings
from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.interfaces.outbox import IOutbox
from mailhive.model.envelope import RecipientOutcome
from mailhive.model.outbound import OutboundMessage, OutboundStatus
from mailhive.queue.claims import Claims
from mailhive.queue.handover import Handover, Way
from mailhive.queue.ledger import Batch, Ledger, open_ledger
from mailhive.queue.pace import Pace
from mailhive.queue.schedule import JITTER, PAUSES, Next, after
from mailhive.sqlite.thread import FileThread

__all__ = ["Outbox"]

#: Seconds that somebody who wants to hold a message waits for an attempt to end.
_PATIENCE = 5.0
#: Seconds until something is tried again that a store refused.
_REST = 30.0
#: Seconds that attempts have to end when the daemon stops.
_DRAIN = 2.0
#: Seconds until something is noticed that another process has changed in the file.
_WATCH = 2.0


@implementer(IOutbox)
class Outbox(Service):
    """`IOutbox` on the file at `path`.

    `submissions` provides `ISubmissions`.  `reporter` makes what senders are told
    (`reports.Reporter`); without one they are told nothing.  `clock` is there for
    tests, which let time pass as they like.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        submissions: Any,
        reactor: Any,
        clock: Any = None,
        *,
        settings: QueueSettings | None = None,
        reporter: Any = None,
    ) -> None:
        self._path = path
        self._settings = settings or QueueSettings()
        self._handover = Handover()
        self._submissions = submissions
        self._reporter = reporter
        self._reactor = reactor
        self._clock = clock or reactor
        self._file: FileThread[Ledger] = FileThread("outbox", reactor)
        self._claims = Claims()
        self._pace = Pace(self._clock.seconds)
        self._work: set[Deferred[Any]] = set()
        self._attempts: set[tuple[str, str]] = set()  # message and destination
        self._telling: set[str] = set()
        self._reporting: set[str] = set()
        self._alarms: set[Any] = set()  # IDelayedCall
        self._next_look: Any = None  # IDelayedCall
        self._next_watch: Any = None  # IDelayedCall
        self._version = 0
        self._looking = self._look_again = False
        #: Does another process still hold a message that was held at the start?
        self.is_taken_over: Callable[[str], Awaitable[bool]] | None = None

    def add_transport(self, transport: Any) -> None:
        """Offer an `ITransport` what those added before it do not take; before the start."""
        self._handover.transports.append(transport)

    # IService

    def startService(self) -> None:
        """Open the file; blocks.  `SchemaError` when it was written by a newer mailhive."""
        ledger = self._file.open(self._path, open_ledger)
        # No pause is longer, unless the clock was put back since.
        ledger.bring_forward(self._now() + int(PAUSES[-1] * (1 + JITTER) * 1000))
        held, untold, unreported = ledger.held(), ledger.untold(), ledger.unreported()
        self._version = ledger.version()
        super().startService()
        self._watch_later()
        for message_id in held:
            self._begin(self._settle_held(message_id))
        for message_id in untold:
            self._begin(self._tell(message_id))
        for message_id in unreported:
            self._begin(self._report_to_sender(message_id))
        self._look()

    async def _stop(self) -> None:
        for alarm in (*self._alarms, self._next_look, self._next_watch):
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

    def expedite(self, message_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._expedite(message_id))

    def blob_ids(self, after: str, until: str, limit: int) -> Deferred[Sequence[str]]:
        return self._run(Ledger.blob_ids, after, until, limit)

    async def _submit(self, message: OutboundMessage, held: bool) -> None:
        destinations = await self._destinations(message)
        if held:
            await self._claims.hold(message.id)
        try:
            await self._run(Ledger.add, message, destinations, held, self._now())
        except BaseException:
            if held:
                self._claims.release(message.id)
            raise
        self._look()

    async def _destinations(self, message: OutboundMessage) -> dict[str, str]:
        """What each recipient's mail waits for, as far as that is known now."""
        ways = await self._handover.ways(message.envelope.recipients)
        return {a: way.destination for a, way in ways.items() if isinstance(way, Way)}

    async def _expedite(self, message_id: str) -> None:
        await self._run(Ledger.expedite, message_id, self._now())
        self._look()

    async def _hold(self, message_id: str) -> bool:
        try:
            await self._claims.hold(message_id).addTimeout(_PATIENCE, self._clock)
        except DeferredTimeout:
            return False
        held = False
        try:
            held = await self._run(Ledger.hold, message_id)
        finally:
            if not held:
                self._claims.release(message_id)
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
        self._claims.release(message_id)
        self._look()

    async def _settle(self, message_id: str) -> None:
        wanted = False
        try:
            status: OutboundStatus | None = await self._run(Ledger.status, message_id)
            if status is not None:
                is_asked = status.message.account_id is not None
                wanted = not is_asked or await self._submissions.is_wanted(status)
        except Exception as error:
            self._warn(error, "Message {id} stays held", message_id)
            self._in_a_while(lambda: self._settle(message_id))
        else:
            await self._end_hold(message_id, wanted=wanted)

    async def _settle_held(self, message_id: str) -> None:
        await self._claims.hold(message_id)
        if self.is_taken_over is None or not await self.is_taken_over(message_id):
            await self._settle(message_id)

    # What operators change

    def _watch_later(self) -> None:
        if self.running:  # the clock of other processes is the real one
            self._next_watch = self._reactor.callLater(_WATCH, lambda: self._begin(self._watch()))

    async def _watch(self) -> None:
        """Go by what another process has written, who has no other way to say it."""
        try:
            version = await self._run(Ledger.version)
            if version != self._version:
                untold = await self._run(Ledger.untold)
                self._version = version
                for message_id in untold:
                    self._begin(self._tell_at_rest(message_id))
                self._look()
        except TemporaryFailure:
            pass  # seen the next time
        finally:
            self._watch_later()

    async def _tell_at_rest(self, message_id: str) -> None:
        """Tell when attempts and holds have ended, in which a canceled message may still go."""
        await self._claims.hold(message_id)
        try:
            await self._tell(message_id)
        finally:
            self._claims.release(message_id)

    # What is due

    def _look(self) -> None:
        """See what is due now, and when to see again."""
        self._look_again = True
        if self.running and not self._looking:
            self._looking = True
            self._begin(self._see())

    async def _see(self) -> None:
        then: int | None = self._now() + int(_REST * 1000)
        try:
            while self._look_again and self.running:
                self._look_again = False
                then = await self._start_attempts()
        except Exception as error:
            self._warn(error, "The outbox cannot see what is due", "")
        finally:
            self._looking = False
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()
        if then is not None and self.running:
            pause = max(0, then - self._now()) / 1000
            self._next_look = self._clock.callLater(pause, self._look)

    async def _start_attempts(self) -> int | None:
        """Begin what is due, as much as may be; the time when there is more, if that is known."""
        now, most = self._now(), self._settings.concurrency
        under_way = Counter(destination for _, destination in self._attempts)
        busy = [d for d, count in under_way.items() if count >= self._handover.at_once(d)]
        busy += self._pace.waiting()
        due = await self._run(Ledger.due, now, busy, most + len(self._attempts))
        if not self.running:
            return None
        for attempt in due:
            destination = attempt[1]
            if len(self._attempts) >= most:
                break
            if attempt in self._attempts or (
                under_way[destination] >= self._handover.at_once(destination)
            ):
                continue
            if destination in self._pace.waiting() or not self._pace.take(
                destination, self._handover.rate(destination)
            ):
                self._look_again = True  # for what stands behind it
                continue
            under_way[destination] += 1
            self._attempts.add(attempt)
            self._begin(self._attempt(*attempt))
        then: int | None = await self._run(Ledger.next_due, now)
        times = [ceil(until * 1000) for until in self._pace.waiting().values()]
        return min(times if then is None else [then, *times], default=None)

    async def _attempt(self, message_id: str, destination: str) -> None:
        try:
            async with self._claims.attempting(message_id):
                batch = await self._run(Ledger.batch, message_id, destination, self._now())
                if batch is not None:
                    await self._send(batch, destination)
        except Exception as error:
            # Perhaps somebody has the message and it cannot be noted: no haste.
            self._warn(error, "An attempt to send message {id} failed", message_id)
            self._in_a_while(lambda: self._rested(message_id, destination))
        else:
            await self._rested(message_id, destination)

    async def _rested(self, message_id: str, destination: str) -> None:
        self._attempts.discard((message_id, destination))
        self._look()

    # One attempt

    async def _send(self, batch: Batch, destination: str) -> None:
        """Hand over what is reached by the destination; the rest waits for another one."""
        message, outcomes = batch.message, []
        ways = await self._handover.ways(recipient.address for recipient in batch.due)
        moved = {
            address: way.destination
            for address, way in ways.items()
            if isinstance(way, Way) and way.destination != destination
        }
        if moved:
            await self._run(Ledger.move, message.id, moved)
        transports: dict[Any, list[str]] = {}
        for address, way in ways.items():
            if isinstance(way, TemporaryFailure):
                # RFC 3463 §3.5: X.4.3, directory server failure.
                outcomes.append(RecipientOutcome(address, 451, "4.4.3", str(way)))
            elif address not in moved:
                transports.setdefault(way.transport, []).append(address)
        if outcomes:
            await self._note(batch, None, outcomes)
        for transport, addresses in transports.items():
            given = await self._handover.deliver(transport, message, tuple(addresses))
            await self._note(batch, transport, given)

    async def _note(
        self, batch: Batch, transport: Any, outcomes: Sequence[RecipientOutcome]
    ) -> None:
        """Write down what became of recipients, and tell of it."""
        message, settings = batch.message, self._settings
        due = {recipient.address: recipient for recipient in batch.due}
        results: list[Next] = [
            after(
                outcome,
                relays=transport is not None and transport.relays,
                attempts=due[outcome.recipient].attempts + 1,
                submitted_at=max(message.submitted_at, message.send_at or 0),
                now=self._now(),
                life=settings.life,
                warn_after=settings.warn_after,
                warned=due[outcome.recipient].warned,
                has_sender=bool(message.envelope.mail_from) and self._reporter is not None,
                parameters=message.envelope.recipient_parameters.get(outcome.recipient, {}),
            )
            for outcome in outcomes
        ]
        if await self._run(Ledger.note, message.id, results) and message.account_id is not None:
            await self._tell(message.id)
        if any(result.report for result in results):
            await self._report_to_sender(message.id)

    # Telling

    async def _tell(self, message_id: str) -> None:
        """Have the EmailSubmission say how far the message has come; later if not now."""
        if message_id in self._telling:  # that one will see it too
            return
        self._telling.add(message_id)
        try:
            while (news := await self._run(Ledger.news, message_id)) is not None:
                status, count = news
                await self._submissions.tell(status)
                await self._run(Ledger.told, message_id, count)
        except CancelledError:
            raise
        except Exception as error:
            self._warn(error, "The submission of message {id} is not up to date", message_id)
            self._in_a_while(lambda: self._tell(message_id))
        finally:
            self._telling.discard(message_id)

    async def _report_to_sender(self, message_id: str) -> None:
        """Send the sender what is to be reported; later if not now."""
        if message_id in self._reporting or self._reporter is None:
            return
        self._reporting.add(message_id)
        try:
            while reports := await self._run(Ledger.reports, message_id):
                status = await self._run(Ledger.status, message_id)
                with self._reporter.hold():
                    notification = await self._reporter.notification(
                        status.message, reports, self._now(), self._settings.life
                    )
                    destinations = await self._destinations(notification)
                    await self._run(
                        Ledger.reported,
                        message_id,
                        reports,
                        notification,
                        destinations,
                        self._now(),
                    )
                self._look()
        except CancelledError:
            raise
        except Exception as error:
            self._warn(error, "The sender of message {id} is not told yet", message_id)
            self._in_a_while(lambda: self._report_to_sender(message_id))
        finally:
            self._reporting.discard(message_id)

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
                self._warn(result.value, "Work on the outbox failed", "")

        doing.addBoth(done)

    def _in_a_while(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self.running:
            return

        def begin() -> None:
            self._alarms.discard(alarm)
            self._begin(work())

        alarm = self._clock.callLater(_REST, begin)
        self._alarms.add(alarm)

    def _warn(self, error: BaseException | None, what: str, message_id: str) -> None:
        if isinstance(error, CancelledError):  # the daemon stops
            return
        if isinstance(error, MailhiveError):
            self._log.warn(what + ": {why}", id=message_id, why=str(error))
        else:
            self._log.failure(what, Failure(error), id=message_id)

"""The one thread that changes a blob store."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.blobs.engine import DISK_ERRORS, Engine, Job, Put
from mailhive.errors import TemporaryFailure

__all__ = ["Worker"]

_ROUND_JOBS = 1024
_ROUND_OCTETS = 16 << 20
_ROUNDS_PER_CHORE = 16  # a store that is never idle gets its chores done as well

_Waiting = tuple[Job, Deferred[bool]]


class Worker:
    """Runs an engine: jobs that wait together are one round, chores come between.

    `pack_removed(number)` is called in the reactor thread after a compaction.
    """

    log = Logger()

    def __init__(self, engine: Engine, reactor: Any, pack_removed: Callable[[int], None]):
        self._engine = engine
        self._reactor = reactor
        self._pack_removed = pack_removed
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._stopped: Deferred[None] | None = None
        Thread(target=self._work, name="blobs", daemon=True).start()

    def submit(self, job: Job) -> Deferred[bool]:
        """Fire once the job is done, durably, with whether it took effect (`Engine.run`).

        `TemporaryFailure` if the disk refuses.
        """
        if self._stopped is not None:
            return fail(TemporaryFailure("the blob store is closed"))
        done: Deferred[bool] = Deferred()
        self._queue.put((job, done))
        return done

    def stop(self) -> Deferred[None]:
        """Finish what was submitted and close the engine; fires when that is done."""
        self._stopped = Deferred()
        self._queue.put(None)
        return self._stopped

    # The thread

    def _work(self) -> None:
        stopping = False
        rounds = 0
        while not stopping:
            waiting, stopping = self._take(wait=not self._engine.has_chores)
            if waiting:
                rounds += 1
                outcome = self._attempt(self._engine.run, [job for job, _ in waiting])
                deferreds = [done for _, done in waiting]
                self._reactor.callFromThread(_settle, deferreds, outcome)
            if not stopping and (not waiting or rounds % _ROUNDS_PER_CHORE == 0):
                self._attempt(self._chore)
            self._attempt(self._engine.checkpoint, self._queue.empty())
        self._attempt(self._engine.close)
        assert self._stopped is not None
        self._reactor.callFromThread(self._stopped.callback, None)

    def _take(self, *, wait: bool) -> tuple[list[_Waiting], bool]:
        """What waits, up to a round, and whether the end was reached."""
        waiting: list[_Waiting] = []
        octets = 0
        try:
            while len(waiting) < _ROUND_JOBS and octets < _ROUND_OCTETS:
                item = self._queue.get(block=wait and not waiting)
                if item is None:
                    return waiting, True
                waiting.append(item)
                if isinstance(item[0], Put) and not item[0].own_file:
                    octets += item[0].length
        except Empty:
            pass
        return waiting, False

    def _chore(self) -> None:
        if self._engine.has_chores:
            removed = self._engine.do_chore()
            if removed is not None:
                self._reactor.callFromThread(self._pack_removed, removed)

    def _attempt(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """What it returns, or a Failure: whatever happens, the thread goes on."""
        try:
            return do(*arguments)
        except DISK_ERRORS as error:
            self.log.error("Blobs: {error}", error=str(error))
            return Failure()
        except Exception:
            failure = Failure()
            self.log.failure("Blobs", failure=failure)
            return failure


def _settle(deferreds: list[Deferred[bool]], outcome: list[bool] | Failure) -> None:
    if isinstance(outcome, Failure):
        for done in deferreds:
            if outcome.check(*DISK_ERRORS):
                done.errback(TemporaryFailure(f"blobs cannot be stored: {outcome.value}"))
            else:
                done.errback(outcome)
    else:
        for done, took_effect in zip(deferreds, outcome, strict=True):
            done.callback(took_effect)

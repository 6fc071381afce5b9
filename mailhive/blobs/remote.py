"""The blob store of a worker that is not the office.

It reads by itself.  What changes the store goes to the office: a small blob in the
message, a large one as a file with a name in the directory of spools.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from mailhive.blobs.engine import DISK_ERRORS, Delete, Job, Put
from mailhive.blobs.holds import Holds
from mailhive.blobs.spool import Spool, SpoolDirectory
from mailhive.errors import TemporaryFailure

__all__ = ["Desk", "Remote"]

#: Seconds for which holds of a process that has ended go on: what it has asked others
#: to do may be under way.
_LINGER = 60.0


class Remote:
    """Has the office do what a `worker.Worker` does."""

    def __init__(
        self,
        peers: Any,
        offload: Callable[..., Deferred[Any]],
        holds: Holds,
        spools: SpoolDirectory,
    ) -> None:
        self._peers = peers
        self._offload = offload
        self._holds = holds
        self._spools = spools
        self._told: float | None = None  # of the holds, to the office

    def submit(self, job: Job) -> Deferred[bool]:
        """As `worker.Worker.submit`."""
        return Deferred.fromCoroutine(self._submit(job))

    async def _submit(self, job: Job) -> bool:
        path = None
        if isinstance(job, Put) and job.spool is not None:
            try:
                path = await self._offload(self._spools.hand_over, job.spool)
            except DISK_ERRORS as error:
                raise TemporaryFailure(f"blobs cannot be stored: {error}") from error
            job = evolve(job, spool=None)
        self._told = self._holds.oldest
        done: bool = await self._peers.call(0, "blobs.submit", self._told, job, path)
        return done

    @contextmanager
    def hold(self) -> Iterator[None]:
        """As `IBlobStore` has it.  The office need not know as long as nothing is stored."""
        try:
            with self._holds.hold():
                yield
        finally:
            if self._told is not None and self._told != self._holds.oldest:
                self._told = self._holds.oldest
                self.tell_of_holds()

    def tell_of_holds(self) -> None:
        """Tell the office, or another one, what it has to know of them."""
        told: Deferred[None] = self._peers.call(0, "blobs.held", self._told)
        told.addErrback(lambda failure: failure.trap(TemporaryFailure) and None)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class Desk:
    """The office's side: `submit(job)` gives a job to its own worker."""

    def __init__(
        self, peers: Any, reactor: Any, holds: Holds, submit: Callable[[Job], Deferred[bool]]
    ) -> None:
        self._reactor = reactor
        self._holds = holds
        self._submit = submit
        self._callers: set[Any] = set()  # those who have held something
        peers.serve("blobs.submit", self._submit_for)
        peers.serve("blobs.held", self._held)

    def _submit_for(
        self, caller: Any, oldest: float | None, job: Job, path: Path | None
    ) -> Deferred[bool]:
        self._held(caller, oldest)
        if isinstance(job, Delete):
            return self._submit(job)
        job = evolve(job, committed=self._reactor.seconds())
        if path is None or not isinstance(job, Put):
            return self._submit(job)
        try:
            spool = SpoolDirectory.take(path)
        except OSError as error:
            raise TemporaryFailure(f"blobs cannot be stored: {error}") from error
        return self._submit(evolve(job, spool=spool)).addBoth(_close, spool)

    def _held(self, caller: Any, oldest: float | None) -> None:
        self._holds.note(caller, oldest)
        if caller not in self._callers:
            self._callers.add(caller)
            caller.gone.addCallback(self._gone, caller)

    def _gone(self, _: object, caller: Any) -> None:
        self._callers.discard(caller)
        self._reactor.callLater(_LINGER, self._holds.note, caller, None)


def _close(result: Any, spool: Spool) -> Any:
    spool.close()
    return result

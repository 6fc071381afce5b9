"""One SQLite file in service: reads at once or on a thread, writes in groups.

Reads run first on the calling (reactor) thread, with a reader that refuses what
no index answers; a read that is refused runs again on a thread of the pool,
with a connection that no other has meanwhile.  Writes queue; one thread at a
time takes all that wait, runs each in a savepoint and commits them together, so
that they share one sync of the disk.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailhive.errors import TemporaryFailure
from mailhive.sqlite.connection import Connection, is_storage_failure
from mailhive.sqlite.migrations import SchemaError
from mailhive.store.signals import Behind, Unbounded

__all__ = ["Database", "Sessions", "Threads"]

_log = Logger()

#: A group of writes ends after so many, or so many seconds.
_GROUP_SIZE = 256
_GROUP_TIME = 0.2

#: Connections kept for the next read on a thread.
_SPARE = 1
#: Reads of one file that run at a time, so that the pool is there for the others too.
_READS = 2


class Sessions(Protocol):
    """Makes what the functions that read and write are given."""

    def connect(self, *, wait: bool) -> Connection:
        """Open the file; blocks.  Without `wait` the connection never waits for another."""

    def prepare(self, connection: Connection) -> None:
        """Bring a file that was just opened to the newest schema; blocks."""

    def reader(self, connection: Connection, *, bounded: bool) -> Any: ...

    def writer(self, connection: Connection) -> Any:
        """A writer; its `finish()` is called when the function has returned."""

    def committed(self, writers: Sequence[Any]) -> None:
        """In the reactor thread, after a commit: the writers whose changes it made durable."""


@frozen
class Threads:
    """The reactor and the pools of threads that all databases share."""

    reactor: Any
    readers: ThreadPool
    writers: ThreadPool

    def read(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.readers, fn, *args)

    def write(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.writers, fn, *args)


@define(eq=False)
class _Job:
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    done: Deferred[Any]


@frozen
class _Outcome:
    result: Any  # or a Failure
    writer: Any = None


class Database:
    """The file behind `sessions`.  All methods are called in the reactor thread."""

    def __init__(self, path: Path, sessions: Sessions, threads: Threads) -> None:
        self.path = path
        self._sessions = sessions
        self._threads = threads
        self._inline: Connection | None = None
        self._writer: Connection | None = None  # used by one thread at a time
        self._readers: deque[Connection] = deque()  # those not in use, _SPARE at most
        self._reading: set[Connection] = set()  # those in use
        self._read_slots = DeferredSemaphore(_READS)
        self._closing = False
        self._queue: deque[_Job] = deque()
        self._open = False
        self._opening: list[Deferred[None]] = []  # reads that wait for it
        self._writing = False
        self._active = 0  # jobs accepted and not done
        self._waiting: list[Deferred[None]] = []  # for _active to be 0

    @property
    def idle(self) -> bool:
        """Is there nothing to do?"""
        return self._active == 0

    def open(self) -> Deferred[None]:
        """Open the file on a thread; `TemporaryFailure` says why that is not possible.

        What is asked for meanwhile waits, and fails if this does; but first the
        Deferred returned here fires.
        """
        self._active += 1
        opened: Deferred[None] = Deferred()
        self._get_ready().addBoth(self._opened, opened)
        return opened

    def _get_ready(self) -> Deferred[None]:
        return self._threads.write(self._connect)

    def open_blocking(self) -> None:
        """Open the file here and now; for the start of the daemon."""
        self._connect()
        self._open = True

    def _opened(self, result: Failure | None, opened: Deferred[None]) -> None:
        self._open = result is None
        if result is not None and result.check(SchemaError):  # another mailhive can read it
            result = Failure(TemporaryFailure(result.getErrorMessage()))
        opened.callback(result)
        opening, self._opening = self._opening, []
        jobs: list[_Job] = []
        if result is None:
            self._pump()
        else:
            jobs = list(self._queue)
            self._queue.clear()
        for waiting in (*opening, *(job.done for job in jobs)):
            waiting.callback(result)
        self._finished(1 + len(jobs))

    def _connect(self) -> None:
        writer = None
        try:
            writer = self._sessions.connect(wait=True)
            self._sessions.prepare(writer)
            self._inline = self._sessions.connect(wait=False)
        except Exception as error:
            if writer is not None:
                writer.close()
            if isinstance(error, OSError) or is_storage_failure(error):
                raise TemporaryFailure(f"{self.path} cannot be opened: {error}") from error
            raise
        self._writer = writer

    def read_inline(self, fn: Callable[..., Any], *args: Any) -> Any:
        """`fn(reader, *args)` at once.  Raises `Unbounded` for what has to run on a thread."""
        assert self._inline is not None
        return self._run_reader(self._inline, True, fn, args)

    def look(self, sql: str, *parameters: Any) -> Any:
        """The one value of one statement, which an index answers, at once."""
        assert self._inline is not None
        return self._inline.value(sql, parameters)

    def read(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fire with `fn(reader, *args)`."""
        if not self._open:
            opened: Deferred[None] = Deferred()
            self._opening.append(opened)
            return opened.addCallback(lambda _: self.read(fn, *args))
        try:
            return succeed(self.read_inline(fn, *args))
        except (Unbounded, Behind):
            pass
        except Exception as error:
            if not is_storage_failure(error):
                return fail(Failure())
        return Deferred.fromCoroutine(self._read_on_thread(fn, args))

    def write(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fire with `fn(writer, *args)` once what it changed is durable."""
        done: Deferred[Any] = Deferred()
        self._queue.append(_Job(fn, args, done))
        self._active += 1
        self._pump()
        return done

    async def close(self) -> None:
        """Finish what was accepted and close the file; long reads are broken off."""
        self._closing = True
        # Again and again: a statement that is about to begin does not hear of it.
        breaking_off = LoopingCall(self._break_off_reads)
        breaking_off.clock = self._threads.reactor
        breaking_off.start(0.05)
        while self._active:
            quiet: Deferred[None] = Deferred()
            self._waiting.append(quiet)
            await quiet
        breaking_off.stop()
        connections = [c for c in (self._inline, self._writer, *self._readers) if c is not None]
        self._inline = self._writer = None
        self._readers.clear()
        await self._threads.write(_close_all, connections)

    def _break_off_reads(self) -> None:
        for connection in list(self._reading):
            connection.interrupt()

    # Reads

    async def _read_on_thread(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self._active += 1
        try:
            try:
                return await self._read_when_free(fn, args)
            except Behind as behind:
                while not self._closing and await self.write(behind.catch_up):
                    pass
            try:
                return await self._read_when_free(fn, args)
            except Behind:
                # More came in meanwhile: nothing gets between in a write.
                return await self._read_alone(fn, args)
        finally:
            self._finished(1)

    def _read_alone(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Deferred[Any]:
        return self.write(fn, *args)

    def _read_when_free(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Deferred[Any]:
        return self._read_slots.run(self._threads.read, self._thread_read, fn, args)

    def _thread_read(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        connection = None
        try:
            connection = self._take_reader()
            self._reading.add(connection)
            if self._closing:
                raise TemporaryFailure("The mail store is being closed")
            return self._run_reader(connection, False, fn, args)
        except Exception as error:
            if not is_storage_failure(error):
                raise
            if connection is not None:
                self._reading.discard(connection)
                connection.close()
                connection = None
            if self._closing:
                raise TemporaryFailure("The mail store is being closed") from error
            _log.error("{path} cannot be read: {why}", path=str(self.path), why=str(error))
            raise TemporaryFailure("The mail store cannot be read now") from error
        finally:
            if connection is not None:
                self._reading.discard(connection)
                if len(self._readers) < _SPARE:
                    self._readers.append(connection)
                else:
                    connection.close()

    def _take_reader(self) -> Connection:
        try:
            return self._readers.popleft()
        except IndexError:
            return self._sessions.connect(wait=True)

    def _run_reader(
        self, connection: Connection, bounded: bool, fn: Callable[..., Any], args: tuple[Any, ...]
    ) -> Any:
        with connection.transaction():
            return fn(self._sessions.reader(connection, bounded=bounded), *args)

    # Writes

    def _pump(self) -> None:
        if self._writing or not self._open or not self._queue:
            return
        self._writing = True
        batch = list(islice(self._queue, _GROUP_SIZE))
        self._threads.write(self._run_batch, batch).addBoth(self._wrote, len(batch))

    def _wrote(self, outcomes: list[_Outcome] | Failure, size: int) -> None:
        if isinstance(outcomes, Failure):
            outcomes = [_Outcome(outcomes)] * size
        jobs = [self._queue.popleft() for _ in outcomes]
        self._writing = False
        self._pump()
        writers = [outcome.writer for outcome in outcomes if outcome.writer is not None]
        if writers:
            self._sessions.committed(writers)
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.done.callback(outcome.result)
        self._finished(len(jobs))

    def _finished(self, jobs: int) -> None:
        self._active -= jobs
        if not self._active:
            waiting, self._waiting = self._waiting, []
            for quiet in waiting:
                quiet.callback(None)

    def _run_batch(self, batch: Sequence[_Job]) -> list[_Outcome]:
        """Run and commit the first of `batch`, as many as there is time for."""
        deadline = time.monotonic() + _GROUP_TIME
        outcomes = []
        try:
            connection = self._writer = self._writer or self._sessions.connect(wait=True)
            with connection.transaction("IMMEDIATE"):
                for job in batch:
                    outcomes.append(self._run_job(connection, job))
                    if time.monotonic() > deadline:
                        break
        except Exception as error:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            if not is_storage_failure(error):
                _log.failure("Writing {path} failed", path=str(self.path))
                raise
            _log.error("{path} cannot be written: {why}", path=str(self.path), why=str(error))
            raise TemporaryFailure("The mail store cannot be written to now") from error
        return outcomes

    def _run_job(self, connection: Connection, job: _Job) -> _Outcome:
        connection.execute("SAVEPOINT job")
        writer = self._sessions.writer(connection)
        try:
            result = job.fn(writer, *job.args)
            writer.finish()
        except Exception as error:
            if is_storage_failure(error):
                raise  # SQLite may have undone the whole transaction
            failure = Failure()
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return _Outcome(failure)
        connection.execute("RELEASE job")
        return _Outcome(result, writer)


def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()

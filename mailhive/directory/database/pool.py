"""Connections to a database, used on threads, within a time that is kept.

Each lookup is some queries on one connection, on a thread of the pool's own: a
database that hangs blocks nobody else's threads.  A lookup that is not done in time
fails, and its connection is torn so that its thread comes free; so nothing needs a
restart when the database is back.  A connection that was kept and turns out to be
dead is replaced once, as a database that was restarted leaves only such.
"""

from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from time import monotonic
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailhive.errors import TemporaryFailure

__all__ = ["MOST_ROWS", "Connect", "IDatabase", "Lost", "Pool", "QueryFailed", "Row", "TooManyRows"]

#: Lookups that may wait for a connection.
_WAITING = 1_000
#: Rows of an answer: addresses of a principal, members of a list.
MOST_ROWS = 10_000

Row = dict[str, Any]


class QueryFailed(Exception):
    """The database did not answer a query; the message says why."""


class Lost(QueryFailed):
    """The connection cannot be used any longer."""


class TooManyRows(Lost):
    """The answer is longer than any sensible one; it was not read to its end."""

    def __init__(self, message: str = f"more than {MOST_ROWS} rows") -> None:
        super().__init__(message)


class IDatabase(Protocol):
    """A connection of some driver.  `query` and `close` are called by one thread at a time."""

    def query(self, sql: str, values: dict[str, str]) -> list[Row]:
        """The rows of an answer, by the lower-case names of their columns.

        `QueryFailed`, `Lost`, or `TooManyRows` beyond `MOST_ROWS`.
        """

    def close(self) -> None:
        """Close it; raises nothing."""

    def tear(self) -> None:
        """Make a query that runs in another thread end at once; raises nothing."""


#: Opens a connection within so many seconds, about; any exception says why not.
Connect = Callable[[float], IDatabase]


@define(eq=False)
class _Job:
    """A lookup, and the connection that it uses now."""

    done: Deferred[Any] = field(factory=Deferred)
    lock: Lock = field(factory=Lock)
    connection: IDatabase | None = None
    late: bool = False

    def use(self, connection: IDatabase | None) -> None:
        """Note what the thread works with."""
        with self.lock:
            self.connection = connection
            if self.late and connection is not None:
                connection.tear()

    def expire(self) -> None:
        """The time is over: let the thread come free."""
        with self.lock:
            self.late = True
            if self.connection is not None:
                self.connection.tear()


class Pool:
    """At most `size` connections; `timeout` and `idle_timeout` are in seconds."""

    def __init__(
        self, connect: Connect, reactor: Any, *, size: int, timeout: float, idle_timeout: float
    ) -> None:
        self._connect = connect
        self._reactor = reactor
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self._most = size + _WAITING
        self._jobs = 0
        self._lock = Lock()  # of what follows
        self._idle: list[tuple[IDatabase, float]] = []  # and since when
        self._closed = False
        self._threads = ThreadPool(0, size, "mailhive-sql")
        # What a thread is still doing when the daemon has stopped is of no use to anybody.
        self._threads.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def open(self) -> None:
        """Start; connections are made as they are needed."""
        self._threads.start()

    def close(self) -> None:
        """Take no more lookups, let those under way end, close every connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._threads.callInThread(connection.close)
        Thread(target=self._threads.stop, daemon=True).start()  # stop() waits for every thread

    def run(self, work: Callable[[IDatabase], Any]) -> Deferred[Any]:
        """Fire with `work(connection)`, called on a thread; what it raises fails it.

        `Lost` if there is no connection, `TemporaryFailure` if the time is over or
        too many lookups wait already.
        """
        if self._closed or not self._threads.started:
            return fail(TemporaryFailure("it is not open"))
        if self._jobs >= self._most:
            return fail(TemporaryFailure("too many lookups wait"))
        self._jobs += 1
        job = _Job()
        timer = self._reactor.callLater(self._timeout, self._expire, job)
        deadline = monotonic() + self._timeout
        ended = deferToThreadPool(self._reactor, self._threads, self._run, job, work, deadline)
        ended.addBoth(self._ended, job, timer)
        return job.done

    def _expire(self, job: _Job) -> None:
        job.expire()
        job.done.errback(TemporaryFailure(f"no answer within {self._timeout:g} s"))

    def _ended(self, result: Any, job: _Job, timer: Any) -> None:
        self._jobs -= 1
        if timer.active():
            timer.cancel()
            job.done.callback(result)  # a Failure fails it
        elif isinstance(result, Failure):
            result.trap(Exception)  # told already

    # On threads

    def _run(self, job: _Job, work: Callable[[IDatabase], Any], deadline: float) -> Any:
        kept = self._take()
        if kept is not None:
            try:
                return self._use(kept, job, work)
            except TooManyRows:
                raise
            except Lost:
                if job.late:
                    raise
                self._forget_idle()
        seconds = deadline - monotonic()
        if seconds <= 0:
            raise TemporaryFailure("too late")
        try:
            fresh = self._connect(seconds)
        except Exception as error:
            raise Lost(f"cannot connect: {' '.join(str(error).split())}") from error
        return self._use(fresh, job, work)

    def _use(self, connection: IDatabase, job: _Job, work: Callable[[IDatabase], Any]) -> Any:
        job.use(connection)
        usable = False
        try:
            result = work(connection)
            usable = True
        except Lost:
            raise
        except QueryFailed:
            usable = True
            raise
        finally:
            job.use(None)
            self._give_back(connection, usable and not job.late)
        return result

    def _take(self) -> IDatabase | None:
        with self._lock:
            return self._idle.pop()[0] if self._idle else None

    def _give_back(self, connection: IDatabase, usable: bool) -> None:
        now = monotonic()
        with self._lock:
            old = [c for c, since in self._idle if since + self._idle_timeout <= now]
            self._idle = [(c, since) for c, since in self._idle if c not in old]
            if usable and not self._closed:
                self._idle.append((connection, now))
            else:
                old.append(connection)
        for connection in old:
            connection.close()

    def _forget_idle(self) -> None:
        """What was open when the database went is of no use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

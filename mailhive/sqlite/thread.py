"""A file that one thread works on, so that the reactor never waits for a disk."""

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailhive.errors import TemporaryFailure
from mailhive.sqlite.connection import Connection, is_storage_failure

__all__ = ["FileThread"]

T = TypeVar("T")


class _DaemonThread(Thread):
    """A thread that does not keep a process alive whose start failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _DaemonThread


class FileThread(Generic[T]):
    """The thread called `name`, and what `open` made of the file, for functions to use."""

    def __init__(self, name: str, reactor: Any) -> None:
        self._name = name
        self._reactor = reactor
        self._pool = _Pool(0, 1, name)
        self._connection: Connection | None = None
        self._opened: T | None = None

    def open(self, path: Path, make: Callable[[Connection], T]) -> T:
        """Open the file, or make it; blocks.  Whatever `make(connection)` raises."""
        connection = Connection(path)
        try:
            self._opened = opened = make(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._pool.start()
        return opened

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fire with `function(what open made, *args)`, called on the thread.

        `TemporaryFailure` when it is the disk or the file that fails.
        """
        if self._opened is None:
            return fail(TemporaryFailure(f"The file of the {self._name} is not open"))
        called = deferToThreadPool(self._reactor, self._pool, function, self._opened, *args)
        return called.addErrback(self._explain)

    async def close(self) -> None:
        """Close the file when what was begun has ended.  Idempotent."""
        connection = self._connection
        if connection is not None:
            closing = self.run(lambda _: connection.close())
            self._connection = self._opened = None
            await closing
            self._pool.stop()

    def _explain(self, failure: Failure) -> Any:
        error = failure.value
        if error is not None and is_storage_failure(error):
            raise TemporaryFailure(f"The {self._name} cannot be used now: {error}") from error
        return failure

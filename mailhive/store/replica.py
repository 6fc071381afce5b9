"""An account's file that another process writes to, as this one reads it.

SQLite lets any number of processes read a file in WAL mode while one writes to it, and
each read sees whatever was committed before it began.  So reads are made here, and
only what is to be written goes to the owner.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailhive.errors import TemporaryFailure
from mailhive.sqlite.connection import Connection, is_storage_failure
from mailhive.store.account import Account, AccountFiles
from mailhive.store.database import Database, Sessions, Threads

__all__ = ["ReplicaAccount"]


class _Replica(Database):
    """`open_there()` has the owner bring an older file up to date, `write` writes there."""

    def __init__(
        self,
        path: Path,
        sessions: Sessions,
        threads: Threads,
        open_there: Callable[[], Deferred[None]],
        write: Callable[..., Deferred[Any]],
    ) -> None:
        super().__init__(path, sessions, threads)
        self._open_there = open_there
        self._write_there = write

    def write(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._write_there(fn, *args)

    def _get_ready(self) -> Deferred[None]:
        return super()._get_ready().addErrback(self._not_ready)

    def _not_ready(self, failure: Failure) -> Deferred[None]:
        failure.trap(_Outdated)
        again = super()._get_ready
        return self._open_there().addCallback(lambda _: again())

    def _connect(self) -> None:
        waiting = None
        try:
            waiting = self._sessions.connect(wait=True)
            self._sessions.prepare(waiting)
            self._inline = self._sessions.connect(wait=False)
        except Exception as error:
            if waiting is not None:
                waiting.close()
            if isinstance(error, OSError) or is_storage_failure(error):
                raise TemporaryFailure(f"{self.path} cannot be opened: {error}") from error
            raise
        self._readers.append(waiting)

    def _read_alone(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Deferred[Any]:
        return self._threads.read(self._thread_read_alone, fn, args)

    def _thread_read_alone(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Keep the owner from writing meanwhile: text is indexed here, and nothing else changes."""
        connection = self._sessions.connect(wait=True)
        try:
            with connection.transaction("IMMEDIATE"):
                writer = self._sessions.writer(connection)
                result = fn(writer, *args)
                writer.finish()
                return result
        except Exception as error:
            if not is_storage_failure(error):
                raise
            raise TemporaryFailure("The mail store cannot be read now") from error
        finally:
            connection.close()


class _Outdated(Exception):
    """The file is of an older version."""


class ReplicaAccount(Account):
    """An account whose owner is another process."""

    def __init__(
        self,
        account_id: str,
        path: Path,
        files: AccountFiles,
        open_there: Callable[[], Deferred[None]],
        write: Callable[..., Deferred[Any]],
    ) -> None:
        super().__init__(account_id, path, files)
        self.database = _Replica(path, self, files.threads, open_there, write)

    def open(self) -> Deferred[None]:
        return self.database.open()  # the owner takes care of the text

    def prepare(self, connection: Connection) -> None:
        if not self._files.schema.is_applied(connection):
            raise _Outdated

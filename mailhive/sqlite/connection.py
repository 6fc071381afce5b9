"""One open database file: a thin wrapper of an apsw connection.

The modules that hold SQL use nothing of SQLite but `execute`, `many`, `row`,
`value` and `rows` with `?` parameters.  A connection is used by one thread at a time,
not always the same.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Timer
from time import monotonic, sleep
from typing import Any

import apsw
import msgspec

__all__ = ["Connection", "OutOfTime", "is_storage_failure"]

_numbers = msgspec.json.Decoder(list[int]).decode

#: What reads of several ids are padded to, so that few statements are compiled.
_BATCHES = (1, 8, 64)

#: Seconds from one interruption of what has had its time to the next.
_AGAIN = 0.01

_STORAGE_FAILURES = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.InterruptError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
)


def is_storage_failure(error: BaseException) -> bool:
    """Is it the disk or the file that failed, not the statement?"""
    return isinstance(error, _STORAGE_FAILURES)


class OutOfTime(Exception):
    """A statement took longer than it was given."""


class Connection:
    """A connection to the file at `path`, which is made if it does not exist.

    `busy_timeout` is in seconds; with 0 it never waits for another connection.
    `cache` is the size of its page cache in octets.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 10.0, cache: int = 2 << 20) -> None:
        self.path = path
        self._interrupted = False
        if not path.exists():
            path.touch(mode=0o600)
        self._apsw = apsw.Connection(str(path))
        self._apsw.set_busy_timeout(int(busy_timeout * 1000))
        self._write_ahead(busy_timeout)
        for pragma in (
            "synchronous = FULL",
            f"cache_size = -{cache >> 10}",
            "temp_store = MEMORY",
            "journal_size_limit = 16777216",
            "trusted_schema = OFF",
        ):
            self._apsw.execute(f"PRAGMA {pragma}")

    def _write_ahead(self, patience: float) -> None:
        """Have the file use a write-ahead log; `patience` is in seconds.

        Two connections that do so to a new file at once would wait for each other,
        so SQLite lets one fail without a wait; it finds the work done a moment later.
        """
        end = monotonic() + patience
        while True:
            try:
                self._apsw.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.BusyError:
                if monotonic() >= end:
                    self._apsw.close(True)
                    raise
                sleep(0.005)

    @property
    def in_transaction(self) -> bool:
        return self._apsw.in_transaction

    def define(self, name: str, function: Callable[..., Any], arguments: int) -> None:
        """Let statements call a deterministic Python function."""
        self._apsw.create_scalar_function(name, function, arguments, deterministic=True)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement, or a script without parameters."""
        for _ in self._apsw.execute(sql, parameters):
            pass

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once with each of `rows`, at a third of what `execute` takes for it."""
        if rows:
            for _ in self._apsw.executemany(sql, rows):
                pass

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of the result, or None."""
        cursor = self._apsw.execute(sql, parameters)
        try:
            return next(cursor, None)
        finally:
            cursor.close(True)

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, parameters)
        return None if row is None else row[0]

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row of the result."""
        return self._apsw.execute(sql, parameters).fetchall()

    def numbers(
        self, columns: Sequence[str], sql: str, parameters: Sequence[Any] = ()
    ) -> list[int]:
        """The numbers in the named `columns` of a result, row after row.

        SQLite makes one text of them: a row by itself costs more, and the interpreter,
        which other threads wait for.  The order is that of the statement.
        """
        row = " || ',' || ".join(columns)
        text = self.value(f"SELECT group_concat({row}) FROM ({sql})", parameters)  # noqa: S608
        return [] if text is None else _numbers(f"[{text}]")

    def rows(
        self, sql: str, parameters: Sequence[Any] = ()
    ) -> Generator[tuple[Any, ...], None, None]:
        """The rows of the result, computed as they are asked for."""
        cursor = self._apsw.execute(sql, parameters)
        try:
            yield from cursor
        finally:
            cursor.close(True)

    def rows_of(self, sql: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement whose one `{ids}` stands for the list of `ids`."""
        for statement, batch in _batches(sql, ids):
            yield from self.rows(statement, batch)

    def all_of(self, sql: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        """The same as a list, which is faster; for statements with a row per id."""
        return [
            row
            for statement, batch in _batches(sql, ids)
            for row in self._apsw.execute(statement, batch)
        ]

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Raise `OutOfTime` when the statements of the block take longer.

        Not by SQLite's progress handler: as a Python function it would have the
        thread wait for the interpreter many times in a query.
        """
        if self._interrupted:
            raise apsw.InterruptError("interrupted before it began")
        late, ended, turn = Event(), Event(), Lock()

        def stop() -> None:
            """Again and again: a statement that is about to begin does not hear of it."""
            late.set()
            while not ended.wait(_AGAIN):
                with turn:
                    if not ended.is_set():
                        self._apsw.interrupt()

        timer = Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except apsw.InterruptError as error:
            if late.is_set() and not self._interrupted:
                raise OutOfTime(f"not done within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()
            with turn:  # what comes next is not interrupted
                ended.set()

    @contextmanager
    def transaction(self, kind: str = "DEFERRED") -> Iterator[None]:
        """Begin; commit at the end, or roll back if the block raises."""
        self.execute(f"BEGIN {kind}")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self.rollback()
            raise

    def interrupt(self) -> None:
        """Break off what runs, for good; from any thread."""
        self._interrupted = True
        self._apsw.interrupt()

    def rollback(self) -> None:
        """Undo the transaction unless SQLite has done so already."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        self._apsw.close(True)


def _batches(sql: str, ids: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
    for start in range(0, len(ids), _BATCHES[-1]):
        batch = list(ids[start : start + _BATCHES[-1]])
        size = next(size for size in _BATCHES if size >= len(batch))
        batch += batch[-1:] * (size - len(batch))
        yield sql.replace("{ids}", "?" + ", ?" * (size - 1)), batch

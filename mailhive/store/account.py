"""What the database of one account is opened with, and what follows its commits."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.errors import TemporaryFailure
from mailhive.model.changes import StateChange
from mailhive.model.collation import ascii_numeric
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import Schema, packaged_schema, sync_directory
from mailhive.store.cache import QueryCache
from mailhive.store.changelog import Life
from mailhive.store.database import Database, Threads
from mailhive.store.filters import has_header
from mailhive.store.reader import Reader
from mailhive.store.textindex import index_some, is_behind
from mailhive.store.writer import Writer

__all__ = ["ACCOUNT_SCHEMA", "Account", "AccountFiles", "connect", "create_account_file"]

_log = Logger()

ACCOUNT_SCHEMA = packaged_schema("mailhive.store", "account", 0x4D684163)

#: Seconds from a delivery to the indexing of its text, unless a search is faster.
_INDEX_DELAY = 0.5


def connect(path: Path, *, wait: bool = True, cache: int = 2 << 20) -> Connection:
    """Open an account's file with the functions that its statements call."""
    connection = Connection(path, busy_timeout=10.0 if wait else 0.0, cache=cache)
    connection.define("has_header", has_header, 3)
    connection.define("numeric_key", _numeric_key, 1)
    return connection


def create_account_file(path: Path, schema: Schema = ACCOUNT_SCHEMA) -> None:
    """Make the file of a new account, durably; blocks.  `TemporaryFailure` if it cannot be."""
    empty = _empty_file(path.parent, schema)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(empty)
            file.flush()
            os.fsync(descriptor)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise TemporaryFailure(f"{path} cannot be made: {error}") from error


@lru_cache(1)
def _empty_file(folder: Path, schema: Schema) -> bytes:
    """What is in the file of an account without anything, made once in a file of `folder`.

    To copy it takes two syncs and a fifth of the time that SQLite takes to make another.
    """
    with TemporaryDirectory(dir=folder) as directory:
        path = Path(directory) / "empty.sqlite"
        connection = connect(path)
        try:
            schema.apply(connection)
        finally:
            connection.close()
        return path.read_bytes()


def _numeric_key(text: str) -> str:
    """Text that sorts as `i;ascii-numeric` sorts `text`; numbers have up to 4,000 digits."""
    infinite, number = ascii_numeric(text)
    digits = str(number)
    return "~" if infinite else f"{len(digits):04}{digits}"


@frozen
class AccountFiles:
    """Opens accounts' files; shared by all of them."""

    cache: QueryCache
    page_cache: int
    life: Life
    threads: Threads
    notify: Callable[[StateChange], None]
    schema: Schema = ACCOUNT_SCHEMA


class Account:
    """The `Sessions` of one account."""

    def __init__(self, account_id: str, path: Path, files: AccountFiles) -> None:
        self.account_id = account_id
        self._path = path
        self._files = files
        self._indexing: IDelayedCall | None = None
        self._closing = False
        self.database = Database(path, self, files.threads)

    def open(self) -> Deferred[None]:
        return self.database.open().addCallback(lambda _: self._resume())

    async def close(self) -> None:
        self._closing = True
        if self._indexing is not None:
            self._indexing.cancel()
            self._indexing = None
        await self.database.close()

    # Sessions

    def connect(self, *, wait: bool) -> Connection:
        if not self._path.exists():
            raise TemporaryFailure(f"{self._path} is missing")
        return connect(self._path, wait=wait, cache=self._files.page_cache)

    def prepare(self, connection: Connection) -> None:
        self._files.schema.apply(connection)

    def reader(self, connection: Connection, *, bounded: bool) -> Reader:
        return Reader(connection, self.account_id, self._files.cache, bounded=bounded)

    def writer(self, connection: Connection) -> Writer:
        now = self._files.threads.reactor.seconds()
        return Writer(connection, self.account_id, self._files.cache, self._files.life, now)

    def committed(self, writers: Sequence[Writer]) -> None:
        changed: dict[str, int] = {}
        for writer in writers:
            changed.update(writer.changed)
        if any(writer.added_text for writer in writers):
            self._index_later()
        if changed:
            self._files.notify(StateChange(self.account_id, changed))

    # Text

    def _resume(self) -> None:
        if self.database.read_inline(lambda reader: is_behind(reader.connection)):
            self._index_later()

    def _index_later(self) -> None:
        if self._indexing is None and not self._closing:
            reactor: Any = self._files.threads.reactor
            self._indexing = reactor.callLater(_INDEX_DELAY, self._index)

    def _index(self) -> None:
        self._indexing = None
        self.database.write(index_some).addCallbacks(self._indexed, self._not_indexed)

    def _indexed(self, more: bool) -> None:
        if more and not self._closing:  # else the next to open the file goes on
            self._index()

    def _not_indexed(self, failure: Failure) -> None:
        _log.error(
            "The text of account {account} could not be indexed: {error}",
            account=self.account_id,
            error=failure.getErrorMessage(),
        )

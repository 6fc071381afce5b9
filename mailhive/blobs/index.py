"""Where each blob lies: a SQLite database that can always be made again.

The packs and the names of the large files are the truth; this is what they
amount to.  So its transactions need no sync of their own: WAL with
`synchronous=NORMAL` never ends up inconsistent, only behind, and the store reads
on from where it ends (`engine`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from attrs import frozen

__all__ = ["OWN_FILE", "Index", "IndexReader", "IndexUnusable", "Location", "Usage"]

#: The "pack" of a blob that has a file of its own.
OWN_FILE = 0

_VERSION = 1
_CHECKPOINT_IDLE = 500  # pages of WAL that are worth a checkpoint when nothing waits
_CHECKPOINT_BUSY = 20_000  # and those that are even when something does
_BUSY_TIMEOUT = 10_000  # milliseconds
_NORMAL = 1  # of PRAGMA synchronous

# `live` is kept by the triggers: octets of records that are still of use, their
# headers of 64 octets (`pack.RECORD_SIZE`) included.
_SCHEMA = """
CREATE TABLE pack (
    number INTEGER PRIMARY KEY, end INTEGER NOT NULL,
    deletions INTEGER NOT NULL, live INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE blob (
    digest BLOB PRIMARY KEY, pack INTEGER NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, committed REAL NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER blob_insert AFTER INSERT ON blob BEGIN
    UPDATE pack SET live = live + new.length + 64 WHERE number = new.pack;
END;
CREATE TRIGGER blob_delete AFTER DELETE ON blob BEGIN
    UPDATE pack SET live = live - old.length - 64 WHERE number = old.pack;
END;
CREATE TRIGGER blob_move AFTER UPDATE OF pack ON blob WHEN new.pack <> old.pack BEGIN
    UPDATE pack SET live = live - old.length - 64 WHERE number = old.pack;
    UPDATE pack SET live = live + new.length + 64 WHERE number = new.pack;
END;
PRAGMA user_version = 1;
"""
_EXTEND = """INSERT INTO pack (number, end, deletions) VALUES (?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET end = excluded.end,
    deletions = deletions + excluded.deletions"""
_PUT = """INSERT INTO blob VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET
    pack = excluded.pack, start = excluded.start, length = excluded.length,
    committed = excluded.committed"""


class IndexUnusable(Exception):
    """The index is damaged or of another version: it is to be made again."""


@frozen
class Location:
    """`length` octets at `start` of a pack, or a file of its own; when last committed."""

    pack: int
    start: int
    length: int
    committed: float


@frozen
class Usage:
    """A pack as the index knows it: indexed up to `end`.

    Records of stored blobs take `live` octets of it; `deletions` is the number of
    records of deletions.
    """

    end: int
    deletions: int
    live: int


class IndexReader:
    """A connection that only looks.  One thread at a time."""

    def __init__(self, path: Path):
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(_BUSY_TIMEOUT)

    def lookup(self, digest: bytes) -> Location | None:
        sql = "SELECT pack, start, length, committed FROM blob WHERE digest = ?"
        row = self._connection.execute(sql, (digest,)).get
        return Location(*row) if row is not None else None

    def older_than(self, timestamp: float, after: bytes = b"", limit: int = -1) -> list[bytes]:
        """Digests behind `after`, in order; all of them for a limit of -1."""
        sql = "SELECT digest FROM blob WHERE digest > ? AND committed < ? ORDER BY digest LIMIT ?"
        rows = self._connection.execute(sql, (after, timestamp, limit))
        return [digest for (digest,) in rows]

    def close(self) -> None:
        self._connection.close()


class Index(IndexReader):
    """The connection that writes.  One thread at a time; changes inside `transaction` only."""

    def __init__(self, path: Path):
        """Open the index, made empty if there is none; `IndexUnusable` if it cannot be used."""
        self._wal_pages = 0
        self._connection = apsw.Connection(str(path))
        try:
            self._connection.set_busy_timeout(_BUSY_TIMEOUT)
            # One by one: of a script, nothing is run behind the first statement with a result.
            self._connection.pragma("journal_mode", "wal")
            self._connection.pragma("synchronous", _NORMAL)
            self._connection.set_wal_hook(self._count_wal)
            version = self._connection.pragma("user_version")
            if version == 0 and self._connection.execute("SELECT 1 FROM sqlite_schema").get is None:
                with self.transaction():
                    self._connection.execute(_SCHEMA)
            elif version != _VERSION:
                raise IndexUnusable(f"{path}: version {version}, wanted {_VERSION}")
            self.packs()
        except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
            self._connection.close()
            raise IndexUnusable(f"{path}: {error}") from error
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside becomes visible at once, or nothing does."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def put(self, digest: bytes, at: Location) -> None:
        values = (digest, at.pack, at.start, at.length, at.committed)
        self._connection.execute(_PUT, values)

    def remove(self, digest: bytes) -> None:
        self._connection.execute("DELETE FROM blob WHERE digest = ?", (digest,))

    def packs(self) -> dict[int, Usage]:
        rows = self._connection.execute("SELECT number, end, deletions, live FROM pack")
        return {number: Usage(*usage) for number, *usage in rows}

    def extend(self, pack: int, end: int, deletions: int) -> None:
        """Say that a pack is indexed up to `end`, by which it has so many more deletions."""
        self._connection.execute(_EXTEND, (pack, end, deletions))

    def forget_pack(self, pack: int) -> int:
        """Forget a pack and every blob that should be in it; returns how many were."""
        self._connection.execute("DELETE FROM blob WHERE pack = ?", (pack,))
        lost = self._connection.changes()
        self._connection.execute("DELETE FROM pack WHERE number = ?", (pack,))
        return lost

    def checkpoint(self, idle: bool) -> None:
        """Move what piled up in the WAL into the database, if it is worth its syncs now."""
        if self._wal_pages > (_CHECKPOINT_IDLE if idle else _CHECKPOINT_BUSY):
            self.sync()

    def sync(self) -> None:
        """Make the transactions so far durable, by moving them into the database."""
        self._wal_pages = 0
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _count_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return 0

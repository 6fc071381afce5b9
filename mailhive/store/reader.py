"""`IMailReader` on a connection: one account at one moment."""

import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from zope.interface import implementer

from mailhive.interfaces.mailstore import IMailReader
from mailhive.model.changes import Changes, QueryChanges
from mailhive.model.email import EmailPage, EmailQuery, EmailRow, MailboxCounts, Record
from mailhive.model.ids import is_id
from mailhive.model.window import Window
from mailhive.sqlite.connection import Connection
from mailhive.store.cache import QueryCache
from mailhive.store.changelog import read_changes
from mailhive.store.ids import (
    email_id,
    email_number,
    mailbox_id,
    mailbox_number,
    thread_id,
    thread_number,
)
from mailhive.store.query import query_changes, query_emails
from mailhive.store.signals import Behind, Unbounded
from mailhive.store.textindex import index_some, is_behind

__all__ = ["Reader"]

#: Rows that may be looked at on the reactor thread, and messages read in full.
_BOUND = 1000
_BOUND_FULL = 8


@implementer(IMailReader)
class Reader:
    """With `bounded`, raises `Unbounded` instead of doing what may take long."""

    def __init__(
        self, connection: Connection, account_id: str, cache: QueryCache, *, bounded: bool
    ) -> None:
        self.account_id = account_id
        self.connection = connection
        self.cache: QueryCache | None = cache
        self.bounded = bounded
        self._left = _BOUND

    # What a writer has changed and not yet written down is written down by `sync`.

    def sync(self) -> None:
        """Make the tables say what this object has to answer."""

    def examine(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """The same `rows`, but not more than may be looked at."""
        return self._counted(rows) if self.bounded else rows

    def _counted(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        left = self._left
        try:
            for row in rows:
                left -= 1
                if left < 0:
                    raise Unbounded
                yield row
        finally:
            self._left = left

    def spend(self, rows: int) -> None:
        """Count rows that are going to be looked at."""
        if self.bounded:
            self._left -= rows
            if self._left < 0:
                raise Unbounded

    def counter(self, name: str) -> int:
        """A number of the account: a running total, or the last id given out."""
        self.sync()
        return int(self.connection.value("SELECT value FROM counter WHERE name = ?", (name,)))

    @property
    def modseq(self) -> int:
        return self.counter("modseq")

    def state(self, type_name: str) -> int:
        self.sync()
        modseq = self.connection.value("SELECT modseq FROM type_state WHERE type = ?", (type_name,))
        return modseq or 0

    def states(self) -> dict[str, int]:
        self.sync()
        return dict(self.connection.all("SELECT type, modseq FROM type_state"))

    def changes(self, type_name: str, since: int, limit: int | None) -> Changes:
        self.sync()
        return read_changes(self.connection, type_name, since, limit, self.examine)

    # Records

    def records(self, type_name: str, ids: Iterable[str] | None = None) -> dict[str, Record]:
        if ids is None:
            rows: Iterable[tuple[Any, ...]] = self.examine(
                self.connection.rows(
                    "SELECT id, data FROM record WHERE type = ? ORDER BY number", (type_name,)
                )
            )
        else:
            wanted = [wire for wire in dict.fromkeys(ids) if is_id(wire)]
            self.spend(len(wanted))
            found = (
                self.connection.row(
                    "SELECT id, data FROM record WHERE type = ? AND id = ?", (type_name, wire)
                )
                for wire in wanted
            )
            rows = (row for row in found if row is not None)
        return {wire: Record(wire, msgspec.json.decode(data)) for wire, data in rows}

    def records_by_key(self, type_name: str, key: str) -> dict[str, Record]:
        rows = self.connection.rows(
            "SELECT id, data FROM record WHERE number IN"
            " (SELECT record FROM record_key WHERE type = ? AND key = ?) ORDER BY number",
            (type_name, key),
        )
        return {wire: Record(wire, msgspec.json.decode(data)) for wire, data in self.examine(rows)}

    def mailbox_counts(self, ids: Iterable[str] | None = None) -> dict[str, MailboxCounts]:
        self.sync()
        columns = "id, total_emails, unread_emails, total_threads, unread_threads"
        rows: Iterator[tuple[Any, ...]]
        if ids is None:
            rows = self.connection.rows(f"SELECT {columns} FROM mailbox WHERE id > 0")
        else:
            rows = self.connection.rows_of(
                f"SELECT {columns} FROM mailbox WHERE id IN ({{ids}})",
                _numbers(mailbox_number, ids),
            )
        return {mailbox_id(row[0]): MailboxCounts(*row[1:]) for row in self.examine(rows)}

    # Emails

    def emails(
        self, ids: Iterable[str], *, summary: bool = False, full: bool = False
    ) -> dict[str, EmailRow]:
        numbers = _numbers(email_number, ids)
        self.spend(len(numbers) * (_BOUND // _BOUND_FULL) if full else len(numbers))
        columns = "id, thread, blob, size, received_at, mailboxes, keywords"
        columns += ", summary" if summary or full else ""
        rows = self.connection.all_of(f"SELECT {columns} FROM email WHERE id IN ({{ids}})", numbers)
        texts = self._texts(numbers) if full else {}
        found = {}
        for number, thread, blob, size, received_at, mailboxes, keywords, *rest in rows:
            wire = email_id(number)
            found[wire] = EmailRow(
                wire,
                thread_id(thread),
                blob,
                size,
                received_at,
                _words(mailboxes),
                _words(keywords),
                *rest,
                *texts.get(number, ()),
            )
        return found

    def _texts(self, numbers: list[int]) -> dict[int, tuple[bytes, bytes]]:
        rows = self.connection.all_of(
            "SELECT id, headers, structure FROM email_full WHERE id IN ({ids})", numbers
        )
        return {
            number: (zlib.decompress(headers), zlib.decompress(structure))
            for number, headers, structure in rows
        }

    def email_ids(self, limit: int) -> tuple[str, ...]:
        rows = self.connection.rows(
            "SELECT email FROM mbx WHERE mailbox = 0 ORDER BY received_at DESC, email DESC LIMIT ?",
            (limit,),
        )
        return tuple(email_id(email) for (email,) in self.examine(rows))

    def threads(self, ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        rows = self.connection.rows_of(
            "SELECT thread, id FROM email WHERE thread IN ({ids}) ORDER BY thread, received_at, id",
            _numbers(thread_number, ids),
        )
        return {
            thread_id(thread): tuple(email_id(email) for _, email in emails)
            for thread, emails in groupby(self.examine(rows), itemgetter(0))
        }

    def query_emails(
        self,
        query: EmailQuery,
        *,
        position: int = 0,
        anchor: str | None = None,
        anchor_offset: int = 0,
        limit: int | None = None,
        calculate_total: bool = False,
    ) -> EmailPage:
        self.sync()
        window = Window(position, anchor, anchor_offset, limit)
        return query_emails(self, query, window, calculate_total)

    def query_email_changes(
        self,
        query: EmailQuery,
        since: int,
        *,
        up_to: str | None = None,
        calculate_total: bool = False,
    ) -> QueryChanges:
        self.sync()
        return query_changes(self, query, since, up_to, calculate_total)

    def prepare_search(self) -> None:
        """Called before the text index is used: it has to hold all there is."""
        if is_behind(self.connection):
            raise Behind(index_some)

    def email_with_blob(self, blob_id: str) -> str | None:
        if not is_id(blob_id):
            return None
        number = self.connection.value("SELECT id FROM email WHERE blob = ? LIMIT 1", (blob_id,))
        return None if number is None else email_id(number)

    def has_blob(self, blob_id: str, user: str) -> bool:
        if not is_id(blob_id):
            return False
        upload = "SELECT 1 FROM upload WHERE blob = ? AND user = ?"
        return (
            self.email_with_blob(blob_id) is not None
            or self.connection.row(upload, (blob_id, user)) is not None
            or self.connection.row("SELECT 1 FROM record_blob WHERE blob = ?", (blob_id,))
            is not None
        )

    def blob_ids(self, after: str, until: str, limit: int) -> tuple[str, ...]:
        rows = self.connection.rows(
            "SELECT blob FROM email WHERE blob > ?1 AND blob <= ?2"
            " UNION SELECT blob FROM upload WHERE blob > ?1 AND blob <= ?2"
            " UNION SELECT blob FROM record_blob WHERE blob > ?1 AND blob <= ?2"
            " ORDER BY blob LIMIT ?3",
            (after, until, limit),
        )
        return tuple(blob for (blob,) in self.examine(rows))

    def upload_usage(self, user: str) -> int:
        return self.connection.value("SELECT octets FROM uploader WHERE user = ?", (user,)) or 0

    def oldest_upload(self) -> float | None:
        at: float | None = self.connection.value("SELECT min(at) FROM upload")
        return at

    def storage_usage(self) -> int:
        return self.counter("email_octets")


@lru_cache(1024)
def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _numbers(decode: Any, ids: Iterable[str]) -> list[int]:
    return list(dict.fromkeys(n for n in map(decode, ids) if n is not None))

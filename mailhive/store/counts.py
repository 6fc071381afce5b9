"""Kept counters: what a Mailbox and a Thread count (RFC 8621 §2).

A writer notes where emails were and where they are now; `settle` turns that into
differences of the kept numbers.  A thread counts in a mailbox through its rows
in `thread` and `thread_mailbox` alone, so its share is computed from these
before and after, however many emails it has; and once for all threads that had
the same numbers and change by the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from attrs import Factory, define
from msgspec import Struct

from mailhive.sqlite.connection import Connection
from mailhive.store.changelog import Log
from mailhive.store.flags import UNREAD_MASK
from mailhive.store.ids import mailbox_id, thread_id

__all__ = ["Counts", "Place"]

#: The mailbox that stands for all mail.
_ALL = 0

_Thread = tuple[int, int]  # number and createdseq


class Place(Struct, frozen=True):
    """Where an email counts."""

    mailboxes: tuple[int, ...]
    unread: bool


class _Numbers(Struct, frozen=True):
    """What a thread counts, or the differences of that."""

    emails: int = 0
    unread: int = 0
    trash_unread: int = 0
    #: Mailboxes and its emails there, none of them 0.
    places: tuple[tuple[int, int], ...] = ()

    def plus(self, other: "_Numbers") -> "_Numbers":
        places = dict(self.places)
        for mailbox, emails in other.places:
            places[mailbox] = places.get(mailbox, 0) + emails
            if not places[mailbox]:
                del places[mailbox]
        return _Numbers(
            self.emails + other.emails,
            self.unread + other.unread,
            self.trash_unread + other.trash_unread,
            tuple(places.items()),
        )


class _Change(Struct, frozen=True):
    """What becomes of a thread."""

    difference: _Numbers
    #: Did an email come or go?  The sum of that may be 0.
    touched: bool


@define
class _Rows:
    """What is to be written of threads, by the statement that writes it."""

    placed: list[tuple[int, ...]] = Factory(list)
    unplaced: list[tuple[int, ...]] = Factory(list)
    new: list[tuple[int, ...]] = Factory(list)
    touched: list[tuple[int, ...]] = Factory(list)
    counted: list[tuple[int, ...]] = Factory(list)
    gone: list[tuple[int, ...]] = Factory(list)

    def write(self, connection: Connection) -> None:
        connection.many(
            "INSERT INTO thread_mailbox (thread, mailbox, emails) VALUES (?, ?, ?)"
            " ON CONFLICT (thread, mailbox) DO UPDATE SET emails = excluded.emails",
            self.placed,
        )
        connection.many(
            "DELETE FROM thread_mailbox WHERE thread = ? AND mailbox = ?", self.unplaced
        )
        connection.many(
            "INSERT INTO thread (id, createdseq, modseq, emails, unread, trash_unread)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            self.new,
        )
        connection.many(
            "UPDATE thread SET emails = ?, unread = ?, trash_unread = ?, modseq = ? WHERE id = ?",
            self.touched,
        )
        connection.many(
            "UPDATE thread SET emails = ?, unread = ?, trash_unread = ? WHERE id = ?",
            self.counted,
        )
        connection.many("DELETE FROM thread WHERE id = ?", self.gone)


@define
class _MailboxChange:
    """Differences of the counts of one mailbox."""

    total_emails: int = 0
    unread_emails: int = 0
    total_threads: int = 0
    unread_threads: int = 0


class Counts:
    """The counters of an account, on behalf of a writer."""

    def __init__(self, connection: Connection, log: Log, trash: int) -> None:
        self._connection = connection
        self._log = log
        self._trash = trash
        self._new: dict[int, int] = {}  # threads without a row yet, with their createdseq
        self._threads: dict[int, _Change] = {}
        self._mailboxes: dict[int, _MailboxChange] = defaultdict(_MailboxChange)

    def add_thread(self, number: int, seq: int) -> None:
        """Note a new thread, created by the change `seq`; its first email is to follow."""
        self._new[number] = seq

    def move(self, threads: Sequence[int], before: Place | None, after: Place | None) -> None:
        """Note that an email of each of `threads` went from one place to another.

        A thread is named as often as it has such emails.  None is nowhere.
        """
        if before == after:
            return
        change = _change(before, after, self._trash)
        for thread in threads:
            known = self._threads.get(thread)
            self._threads[thread] = change if known is None else _both(known, change)
        for place, emails in ((before, -len(threads)), (after, len(threads))):
            if place is not None:
                self._mailboxes[_ALL].total_emails += emails
                for mailbox in place.mailboxes:
                    self._mailboxes[mailbox].total_emails += emails
                    self._mailboxes[mailbox].unread_emails += emails * place.unread

    def settle(self) -> None:
        """Write the new numbers down and log what changed by them."""
        if not self._mailboxes:
            return
        rows = _Rows()
        for (change, numbers), threads in self._ways().items():
            self._settle_threads(change, _numbers_of(numbers), threads, rows)
        rows.write(self._connection)
        self._threads, self._new = {}, {}
        for number, difference in self._mailboxes.items():
            if difference != _MailboxChange():
                self._add(number, difference)
        self._mailboxes.clear()

    def move_trash(self, trash: int) -> None:
        """Another mailbox is the trash now (0: none is): count all threads again."""
        self.settle()
        self._trash = trash
        self._recount_threads()
        rows = self._connection.all(
            "SELECT m.id, count(t.id) - m.unread_threads FROM mailbox m"
            " LEFT JOIN thread_mailbox b ON b.mailbox = m.id"
            " LEFT JOIN thread t ON t.id = b.thread"
            " AND CASE WHEN m.id = ? THEN t.trash_unread ELSE t.unread END > 0"
            " WHERE m.id > 0 GROUP BY m.id",
            (trash,),
        )
        for number, difference in rows:
            if difference:
                self._add(number, _MailboxChange(unread_threads=difference))

    def _ways(self) -> dict[tuple[_Change, tuple[int, ...]], list[_Thread]]:
        """The threads that change, by their change and what they count as yet."""
        numbers: dict[int, tuple[int, ...]] = {n: (seq, 0, 0, 0) for n, seq in self._new.items()}
        rows = self._connection.all_of(
            "SELECT t.id, t.createdseq, t.emails, t.unread, t.trash_unread, m.mailbox, m.emails"
            " FROM thread t JOIN thread_mailbox m ON m.thread = t.id"
            " WHERE t.id IN ({ids}) ORDER BY t.id, m.mailbox",
            [number for number in self._threads if number not in self._new],
        )
        for row in rows:
            known = numbers.get(row[0])
            numbers[row[0]] = row[1:] if known is None else known + row[5:]
        ways = defaultdict(list)
        for number, change in self._threads.items():
            seq, *counts = numbers[number]
            ways[change, tuple(counts)].append((number, seq))
        return ways

    def _settle_threads(
        self, change: _Change, before: _Numbers, threads: Sequence[_Thread], rows: _Rows
    ) -> None:
        """Settle threads that count the same."""
        after = before.plus(change.difference)
        self._share(before, -len(threads))
        self._share(after, len(threads))
        old, new = dict(before.places), dict(after.places)
        for mailbox in old.keys() | new.keys():
            if mailbox not in new:
                rows.unplaced += [(number, mailbox) for number, _ in threads]
            elif old.get(mailbox) != new[mailbox]:
                rows.placed += [(number, mailbox, new[mailbox]) for number, _ in threads]
        totals = after.emails, after.unread, after.trash_unread
        if not after.emails:
            rows.gone += [(number,) for number, _ in threads]
            self._log.bury("Thread", [(thread_id(number), seq) for number, seq in threads])
        elif not before.emails:
            rows.new += [(number, seq, seq, *totals) for number, seq in threads]
        elif change.touched:
            seqs = self._log.take("Thread", len(threads))
            rows.touched += [(*totals, seq, n) for seq, (n, _) in zip(seqs, threads, strict=True)]
        elif totals != (before.emails, before.unread, before.trash_unread):
            rows.counted += [(*totals, number) for number, _ in threads]

    def _share(self, numbers: _Numbers, threads: int) -> None:
        """Add, or take, what so many threads with these numbers count in their mailboxes."""
        self._mailboxes[_ALL].total_threads += threads * (numbers.emails > 0)
        for mailbox, _ in numbers.places:
            change = self._mailboxes[mailbox]
            change.total_threads += threads
            shown = numbers.trash_unread if mailbox == self._trash else numbers.unread
            change.unread_threads += threads * (shown > 0)

    def _add(self, number: int, change: _MailboxChange) -> None:
        self._connection.execute(
            "UPDATE mailbox SET total_emails = total_emails + ?,"
            " unread_emails = unread_emails + ?, total_threads = total_threads + ?,"
            " unread_threads = unread_threads + ? WHERE id = ?",
            (
                change.total_emails,
                change.unread_emails,
                change.total_threads,
                change.unread_threads,
                number,
            ),
        )
        if number != _ALL:
            self._connection.execute(
                "UPDATE record SET modseq = ? WHERE number = ?",
                (self._log.next("Mailbox"), number),
            )

    def _recount_threads(self) -> None:
        """`unread` and `trash_unread` of every thread, from its emails."""
        self._connection.execute(
            "UPDATE thread SET"
            " unread = (SELECT count(*) FROM email e WHERE e.thread = thread.id"
            f" AND e.flags & {UNREAD_MASK} = 0 AND e.mailboxes <> ?),"
            " trash_unread = (SELECT count(*) FROM email e WHERE e.thread = thread.id"
            f" AND e.flags & {UNREAD_MASK} = 0 AND EXISTS (SELECT 1 FROM mbx m"
            " WHERE m.mailbox = ? AND m.received_at = e.received_at AND m.email = e.id))",
            (mailbox_id(self._trash), self._trash or -1),
        )


@lru_cache(1000)
def _change(before: Place | None, after: Place | None, trash: int) -> _Change:
    """What becomes of the thread of an email that goes from one place to another."""
    gone, come = _numbers(before, -1, trash), _numbers(after, 1, trash)
    return _Change(gone.plus(come), before is None or after is None)


def _numbers_of(counts: tuple[int, ...]) -> _Numbers:
    """Of emails, unread, trash_unread, and so many times a mailbox and its emails."""
    emails, unread, trash_unread, *places = counts
    pairs = tuple(zip(places[::2], places[1::2], strict=True))
    return _Numbers(emails, unread, trash_unread, pairs)


def _numbers(place: Place | None, sign: int, trash: int) -> _Numbers:
    if place is None:
        return _Numbers()
    return _Numbers(
        sign,
        sign * (place.unread and place.mailboxes != (trash,)),
        sign * (place.unread and trash in place.mailboxes),
        tuple((mailbox, sign) for mailbox in place.mailboxes),
    )


@lru_cache(1000)
def _both(one: _Change, other: _Change) -> _Change:
    return _Change(one.difference.plus(other.difference), one.touched or other.touched)

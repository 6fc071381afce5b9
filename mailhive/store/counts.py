"""Kept counters: what a Mailbox and a Thread count (RFC 8621 §2).

A writer notes where emails were and where they are now; `settle` turns that into
differences of the kept numbers.  A thread counts in a mailbox through its rows
in `thread` and `thread_mailbox` alone, so its share is computed from these
before and after, however many emails it has; and once for all threads that had
the same numbers and change by the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from attrs import define
from msgspec import Struct

from mailhive.sqlite.connection import Connection
from mailhive.store.changelog import Log
from mailhive.store.flags import UNREAD_MASK
from mailhive.store.ids import mailbox_id, thread_id

__all__ = ["Counts", "Place"]

#: The mailbox that stands for all mail.
_ALL = 0


class Place(Struct, frozen=True):
    """Where an email counts."""

    mailboxes: tuple[int, ...]
    unread: bool


class _Numbers(Struct, frozen=True):
    """What a thread counts, or the differences of that."""

    emails: int = 0
    unread: int = 0
    trash_unread: int = 0
    #: Mailboxes and its emails there, in the order of the mailboxes, none of them 0.
    places: tuple[tuple[int, int], ...] = ()

    def plus(self, other: "_Numbers") -> "_Numbers":
        places = defaultdict(int, self.places)
        for mailbox, emails in other.places:
            places[mailbox] += emails
        return _Numbers(
            self.emails + other.emails,
            self.unread + other.unread,
            self.trash_unread + other.trash_unread,
            tuple(sorted((m, n) for m, n in places.items() if n)),
        )


class _Change(Struct, frozen=True):
    """What becomes of a thread."""

    difference: _Numbers
    #: Did an email come or go?  The sum of that may be 0.
    touched: bool


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
        ways: dict[tuple[_Change, _Numbers | None], list[tuple[int, int]]] = defaultdict(list)
        for number, createdseq, numbers in self._read():
            ways[self._threads[number], numbers].append((number, createdseq))
        for (change, numbers), threads in ways.items():
            self._settle_threads(change, numbers, threads)
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

    def _read(self) -> Iterable[tuple[int, int, _Numbers | None]]:
        """The threads that change: number, createdseq, and what they count as yet."""
        for number, seq in self._new.items():
            yield number, seq, None
        rows = self._connection.all_of(
            "SELECT t.id, t.createdseq, t.emails, t.unread, t.trash_unread, m.mailbox, m.emails"
            " FROM thread t LEFT JOIN thread_mailbox m ON m.thread = t.id"
            " WHERE t.id IN ({ids}) ORDER BY t.id, m.mailbox",
            [number for number in self._threads if number not in self._new],
        )
        for thread, places in groupby(rows, itemgetter(0, 1, 2, 3, 4)):
            number, createdseq, emails, unread, trash_unread = thread
            counts = tuple([(row[5], row[6]) for row in places])
            yield number, createdseq, _Numbers(emails, unread, trash_unread, counts)

    def _settle_threads(
        self, change: _Change, before: _Numbers | None, threads: Sequence[tuple[int, int]]
    ) -> None:
        """Settle threads that count the same; None if they have no row yet."""
        connection, is_new = self._connection, before is None
        before = before or _Numbers()
        after = before.plus(change.difference)
        self._share(before, -len(threads))
        self._share(after, len(threads))
        self._place(dict(before.places), dict(after.places), threads)
        totals = after.emails, after.unread, after.trash_unread
        if not after.emails:
            connection.many("DELETE FROM thread WHERE id = ?", [(n,) for n, _ in threads])
            self._log.bury("Thread", [(thread_id(n), seq) for n, seq in threads])
        elif is_new:
            connection.many(
                "INSERT INTO thread (id, createdseq, modseq, emails, unread, trash_unread)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(n, seq, seq, *totals) for n, seq in threads],
            )
        elif change.touched:
            seqs = self._log.take("Thread", len(threads))
            connection.many(
                "UPDATE thread SET emails = ?, unread = ?, trash_unread = ?, modseq = ?"
                " WHERE id = ?",
                [(*totals, seq, n) for seq, (n, _) in zip(seqs, threads, strict=True)],
            )
        elif totals != (before.emails, before.unread, before.trash_unread):
            connection.many(
                "UPDATE thread SET emails = ?, unread = ?, trash_unread = ? WHERE id = ?",
                [(*totals, n) for n, _ in threads],
            )

    def _place(
        self,
        before: Mapping[int, int],
        after: Mapping[int, int],
        threads: Sequence[tuple[int, int]],
    ) -> None:
        """Write down how many emails of threads are in each mailbox."""
        for mailbox in before.keys() | after.keys():
            emails = after.get(mailbox)
            if emails is None:
                self._connection.many(
                    "DELETE FROM thread_mailbox WHERE thread = ? AND mailbox = ?",
                    [(n, mailbox) for n, _ in threads],
                )
            elif emails != before.get(mailbox):
                self._connection.many(
                    "INSERT INTO thread_mailbox (thread, mailbox, emails) VALUES (?, ?, ?)"
                    " ON CONFLICT (thread, mailbox) DO UPDATE SET emails = excluded.emails",
                    [(n, mailbox, emails) for n, _ in threads],
                )

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

"""Kept counters: what a Mailbox and a Thread count (RFC 8621 §2).

A writer notes where each email was and where it is now; `settle` turns that into
differences of the kept numbers.  A thread counts in a mailbox through its rows
in `thread` and `thread_mailbox` alone, so its share is computed from these
before and after, however many emails it has.
"""

from collections import Counter

from attrs import Factory, define, frozen

from mailhive.sqlite.connection import Connection
from mailhive.store.changelog import Log
from mailhive.store.flags import UNREAD_MASK
from mailhive.store.ids import mailbox_id, thread_id

__all__ = ["Counts", "Place"]

#: The mailbox that stands for all mail.
_ALL = 0


@frozen
class Place:
    """Where an email counts."""

    thread: int
    mailboxes: tuple[int, ...]
    unread: bool


@define
class _ThreadChange:
    """Differences of the numbers of one thread."""

    emails: int = 0
    unread: int = 0
    trash_unread: int = 0
    in_mailbox: Counter[int] = Factory(Counter)
    #: Did an email come or go?  The sum of that may be 0.
    touched: bool = False


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
        self._threads: dict[int, _ThreadChange] = {}
        self._mailboxes: dict[int, _MailboxChange] = {}

    def move(self, before: Place | None, after: Place | None) -> None:
        """Note that an email went from one place to another; None is nowhere."""
        if before == after:
            return
        for place, sign in ((before, -1), (after, 1)):
            if place is None:
                continue
            thread = self._threads.setdefault(place.thread, _ThreadChange())
            thread.emails += sign
            thread.touched = thread.touched or before is None or after is None
            self._mailbox(_ALL).total_emails += sign
            for mailbox in place.mailboxes:
                thread.in_mailbox[mailbox] += sign
                self._mailbox(mailbox).total_emails += sign
                self._mailbox(mailbox).unread_emails += sign * place.unread
            if place.unread:
                thread.unread += sign * (place.mailboxes != (self._trash,))
                thread.trash_unread += sign * (self._trash in place.mailboxes)

    def settle(self) -> None:
        """Write the new numbers down and log what changed by them."""
        threads, self._threads = self._threads, {}
        for number, change in threads.items():
            self._settle_thread(number, change)
        mailboxes, self._mailboxes = self._mailboxes, {}
        for number, difference in mailboxes.items():
            if difference != _MailboxChange():
                self._add(number, difference)

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

    def _mailbox(self, number: int) -> _MailboxChange:
        return self._mailboxes.setdefault(number, _MailboxChange())

    def _settle_thread(self, number: int, change: _ThreadChange) -> None:
        connection = self._connection
        row = connection.row(
            "SELECT emails, unread, trash_unread, createdseq FROM thread WHERE id = ?", (number,)
        )
        assert row is not None
        emails, unread, trash_unread, createdseq = row
        counts = Counter(
            dict(
                connection.all(
                    "SELECT mailbox, emails FROM thread_mailbox WHERE thread = ?", (number,)
                )
            )
        )
        self._share(counts, unread, trash_unread, -1)
        if emails == 0:  # just made
            self._mailbox(_ALL).total_threads += 1
        emails += change.emails
        unread += change.unread
        trash_unread += change.trash_unread
        for mailbox, difference in change.in_mailbox.items():
            if not difference:
                continue
            counts[mailbox] += difference
            if counts[mailbox]:
                connection.execute(
                    "INSERT INTO thread_mailbox (thread, mailbox, emails) VALUES (?, ?, ?)"
                    " ON CONFLICT (thread, mailbox) DO UPDATE SET emails = excluded.emails",
                    (number, mailbox, counts[mailbox]),
                )
            else:
                connection.execute(
                    "DELETE FROM thread_mailbox WHERE thread = ? AND mailbox = ?", (number, mailbox)
                )
        self._share(counts, unread, trash_unread, 1)
        if emails == 0:
            self._mailbox(_ALL).total_threads -= 1
            connection.execute("DELETE FROM thread WHERE id = ?", (number,))
            self._log.bury("Thread", thread_id(number), createdseq)
        else:
            if (emails, unread, trash_unread) != row[:3]:
                connection.execute(
                    "UPDATE thread SET emails = ?, unread = ?, trash_unread = ? WHERE id = ?",
                    (emails, unread, trash_unread, number),
                )
            # Its creation has told already what a thread begins with.
            if change.touched and row[0]:
                connection.execute(
                    "UPDATE thread SET modseq = ? WHERE id = ?", (self._log.next("Thread"), number)
                )

    def _share(self, counts: Counter[int], unread: int, trash_unread: int, sign: int) -> None:
        """Add or take what a thread counts in its mailboxes."""
        for mailbox, emails in counts.items():
            if emails:
                change = self._mailbox(mailbox)
                change.total_threads += sign
                shown = trash_unread if mailbox == self._trash else unread
                change.unread_threads += sign * (shown > 0)

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

"""`IMailWriter` on a connection: the changes of one function that writes."""

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from zope.interface import implementer

from mailhive.errors import NotFound
from mailhive.interfaces.mailstore import IMailWriter
from mailhive.model.email import NewEmail
from mailhive.model.ids import is_id
from mailhive.sqlite.connection import Connection
from mailhive.store.cache import QueryCache
from mailhive.store.changelog import Life, Log
from mailhive.store.conversations import (
    add_references,
    find_thread,
    reference_keys,
    remove_references,
)
from mailhive.store.counts import Counts, Place
from mailhive.store.flags import ATTACHMENT, flags_of, is_unread
from mailhive.store.ids import (
    email_id,
    email_number,
    mailbox_id,
    mailbox_number,
    record_id,
    thread_id,
)
from mailhive.store.reader import Reader
from mailhive.store.textindex import add_text, index_pending, remove_text

__all__ = ["Writer"]

T = TypeVar("T")


@implementer(IMailWriter)
class Writer(Reader):
    """One function's changes.  Counters, counts and states are written down by `sync`."""

    def __init__(
        self, connection: Connection, account_id: str, cache: QueryCache, life: Life, now: float
    ) -> None:
        super().__init__(connection, account_id, cache, bounded=False)
        self.cache = None  # results that may never be committed are not shared
        self._saved: dict[str, int] = dict(connection.all("SELECT name, value FROM counter"))
        self._counters = dict(self._saved)
        self._log = Log(connection, self._saved["modseq"], life, now)
        self._counts = Counts(connection, self._log, self._saved["trash"])
        #: Mailboxes that are there, by id.
        self._known_mailboxes: dict[str, int] = {}
        #: Did this put text where the index does not have it yet?
        self.added_text = False

    @property
    def changed(self) -> dict[str, int]:
        """The types that changed, with their new states."""
        return self._log.changed

    def sync(self) -> None:
        self._counts.settle()
        self._log.flush()
        self._counters["modseq"] = self._log.modseq
        for name, value in self._counters.items():
            if value != self._saved[name]:
                self.connection.execute(
                    "UPDATE counter SET value = ? WHERE name = ?", (value, name)
                )
                self._saved[name] = value

    def finish(self) -> None:
        """The function has returned: complete its changes."""
        self.sync()

    def prepare_search(self) -> None:
        index_pending(self)

    def _next(self, counter: str) -> int:
        self._counters[counter] += 1
        return self._counters[counter]

    # Records

    def create_record(
        self, type_name: str, data: Any, record_id: str | None = None, keys: Iterable[str] = ()
    ) -> str:
        """As `IMailWriter` has it.  Only types other than Mailbox can be given an id."""
        number = self._next("record")
        wire = self._record_id(type_name, number, record_id)
        seq = self._log.next(type_name)
        self.connection.execute(
            "INSERT INTO record (number, type, id, createdseq, modseq, propseq, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, type_name, wire, seq, seq, seq, msgspec.json.encode(data)),
        )
        for key in dict.fromkeys(keys):
            self.connection.execute(
                "INSERT INTO record_key (type, key, record) VALUES (?, ?, ?)",
                (type_name, key, number),
            )
        if type_name == "Mailbox":
            self.connection.execute("INSERT INTO mailbox (id) VALUES (?)", (number,))
            self._find_trash(number, data)
        return wire

    def update_record(self, type_name: str, record_id: str, data: Any) -> None:
        number, _ = self._record(type_name, record_id)
        self._counts.settle()  # so that counts do not come after the document
        seq = self._log.next(type_name)
        self.connection.execute(
            "UPDATE record SET data = ?, modseq = ?, propseq = ? WHERE number = ?",
            (msgspec.json.encode(data), seq, seq, number),
        )
        if type_name == "Mailbox":
            self._find_trash(number, data)

    def destroy_record(self, type_name: str, record_id: str) -> None:
        number, createdseq = self._record(type_name, record_id)
        if type_name == "Mailbox":
            self._counts.settle()
            if self.connection.row("SELECT 1 FROM mbx WHERE mailbox = ? LIMIT 1", (number,)):
                raise ValueError(f"Mailbox {record_id} is not empty")
            self.connection.execute("DELETE FROM mailbox WHERE id = ?", (number,))
            self._known_mailboxes.pop(record_id, None)
        self.connection.execute("DELETE FROM record WHERE number = ?", (number,))
        self.connection.execute("DELETE FROM record_key WHERE record = ?", (number,))
        self.connection.execute("DELETE FROM record_blob WHERE record = ?", (number,))
        self._log.bury(type_name, record_id, createdseq)
        if type_name == "Mailbox":
            self._find_trash(number, {})

    def refer_to_blob(self, type_name: str, record_id: str, blob_id: str) -> None:
        number, _ = self._record(type_name, record_id)
        self.connection.execute(
            "INSERT OR IGNORE INTO record_blob (blob, record) VALUES (?, ?)", (blob_id, number)
        )

    def _record(self, type_name: str, wire: str) -> tuple[int, int]:
        row = is_id(wire) and self.connection.row(
            "SELECT number, createdseq FROM record WHERE type = ? AND id = ?", (type_name, wire)
        )
        if not row:
            raise NotFound(f"There is no {type_name} {wire}")
        return row[0], row[1]

    def _record_id(self, type_name: str, number: int, wanted: str | None) -> str:
        if wanted is None:
            return record_id(type_name, number)
        used = self.connection.row(
            "SELECT 1 FROM record WHERE type = ?1 AND id = ?2"
            " UNION ALL SELECT 1 FROM tombstone WHERE type = ?1 AND id = ?2",
            (type_name, wanted),
        )
        if used or type_name == "Mailbox":
            raise ValueError(f"A {type_name} cannot be given the id {wanted}")
        return wanted

    def _find_trash(self, changed: int, data: Any) -> None:
        """The oldest Mailbox whose role is trash is the one that counts (RFC 8621 §2).

        `changed` is a Mailbox that has `data` now.
        """
        if changed != self._counters["trash"] and data.get("role") != "trash":
            return
        rows = self.connection.all(
            "SELECT number, data FROM record WHERE type = 'Mailbox' ORDER BY number"
        )
        trash = next((n for n, data in rows if msgspec.json.decode(data).get("role") == "trash"), 0)
        if trash != self._counters["trash"]:
            self._counters["trash"] = trash
            self._counts.move_trash(trash)

    # Emails

    def add_email(
        self, email: NewEmail, mailbox_ids: Iterable[str], keywords: Iterable[str]
    ) -> tuple[str, str]:
        mailboxes = self._mailboxes(mailbox_ids)
        words = _normalized(tuple(keywords))
        flags = flags_of(words, email.has_attachment)
        number = self._next("email")
        keys = reference_keys(email.message_ids, email.thread_subject)
        thread = find_thread(self.connection, keys)
        if thread is None:
            thread = self._new_thread()
        seq = self._log.next("Email")
        self._log.note("EmailDelivery", seq)  # RFC 8621 §1.5
        self._discount(email.blob_id)  # the Email refers to it from now on
        self.connection.execute(
            "INSERT INTO email (id, thread, received_at, size, flags, createdseq, modseq, blob,"
            " mailboxes, keywords, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                thread,
                email.received_at,
                email.size,
                flags,
                seq,
                seq,
                email.blob_id,
                _joined_ids(mailboxes),
                " ".join(words),
                email.summary,
            ),
        )
        self.connection.execute(
            "INSERT INTO email_full (id, refs, headers, structure) VALUES (?, ?, ?, ?)",
            (
                number,
                b"".join(keys),
                zlib.compress(email.headers),
                zlib.compress(email.structure),
            ),
        )
        self.connection.execute(
            "INSERT INTO email_sort (id, size, sent_at, sender, receiver, subject)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                number,
                email.size,
                email.sent_at,
                email.sort_from,
                email.sort_to,
                email.sort_subject,
            ),
        )
        add_references(self.connection, keys, thread, number)
        self._list((0, *mailboxes), email.received_at, number, thread, flags)
        self._add_keywords(words, email.received_at, number, thread)
        add_text(self.connection, number, email.search)
        self.added_text = True
        self._counts.move(None, Place(thread, mailboxes, is_unread(flags)))
        self._counters["email_octets"] += email.size
        return email_id(number), thread_id(thread)

    def update_email(
        self,
        email_id: str,
        *,
        mailbox_ids: Iterable[str] | None = None,
        keywords: Iterable[str] | None = None,
    ) -> None:
        number, thread, received_at, flags, joined_mailboxes, joined_words = self._email(
            email_id, "id, thread, received_at, flags, mailboxes, keywords"
        )
        old_mailboxes, old_words = _numbers(joined_mailboxes), tuple(joined_words.split())
        mailboxes = old_mailboxes if mailbox_ids is None else self._mailboxes(mailbox_ids)
        words = old_words if keywords is None else _normalized(tuple(keywords))
        if (mailboxes, words) == (old_mailboxes, old_words):
            return
        new_flags = flags_of(words, bool(flags & ATTACHMENT))
        self.connection.execute(
            "UPDATE email SET flags = ?, mailboxes = ?, keywords = ?, modseq = ? WHERE id = ?",
            (
                new_flags,
                _joined_ids(mailboxes),
                " ".join(words),
                self._log.next("Email"),
                number,
            ),
        )
        self._unlist(_without(old_mailboxes, mailboxes), received_at, number)
        if new_flags != flags:
            for mailbox in (0, *(m for m in mailboxes if m in old_mailboxes)):
                self.connection.execute(
                    "UPDATE mbx SET flags = ? WHERE mailbox = ? AND received_at = ? AND email = ?",
                    (new_flags, mailbox, received_at, number),
                )
        self._list(_without(mailboxes, old_mailboxes), received_at, number, thread, new_flags)
        self._remove_keywords(_without(old_words, words), received_at, number)
        self._add_keywords(_without(words, old_words), received_at, number, thread)
        self._counts.move(
            Place(thread, old_mailboxes, is_unread(flags)),
            Place(thread, mailboxes, is_unread(new_flags)),
        )

    def destroy_email(self, email_id: str) -> None:
        number, thread, received_at, size, flags, createdseq, joined_mailboxes, words = self._email(
            email_id, "id, thread, received_at, size, flags, createdseq, mailboxes, keywords"
        )
        mailboxes = _numbers(joined_mailboxes)
        refs = self.connection.value("SELECT refs FROM email_full WHERE id = ?", (number,))
        remove_references(self.connection, refs, thread, number)
        self._unlist((0, *mailboxes), received_at, number)
        self._remove_keywords(words.split(), received_at, number)
        remove_text(self.connection, number)
        for table in ("email", "email_full", "email_sort"):
            self.connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
        self._log.bury("Email", email_id, createdseq)
        self._counts.move(Place(thread, mailboxes, is_unread(flags)), None)
        self._counters["email_octets"] -= size

    def _new_thread(self) -> int:
        number = self._next("thread")
        seq = self._log.next("Thread")
        self.connection.execute(
            "INSERT INTO thread (id, createdseq, modseq, emails, unread, trash_unread)"
            " VALUES (?, ?, ?, 0, 0, 0)",
            (number, seq, seq),
        )
        return number

    def _email(self, wire: str, columns: str) -> tuple[Any, ...]:
        number = email_number(wire)
        row = self.connection.row(f"SELECT {columns} FROM email WHERE id = ?", (number,))
        if row is None:
            raise NotFound(f"There is no Email {wire}")
        return row

    def _mailboxes(self, wires: Iterable[str]) -> tuple[int, ...]:
        numbers = set()
        for wire in wires:
            number = self._known_mailboxes.get(wire)
            if number is None:
                number = mailbox_number(wire)
                row = self.connection.row("SELECT 1 FROM mailbox WHERE id = ?", (number,))
                if number is None or row is None:
                    raise NotFound(f"There is no Mailbox {wire}")
                self._known_mailboxes[wire] = number
            numbers.add(number)
        if not numbers:
            raise ValueError("An Email has to be in a Mailbox")
        return tuple(sorted(numbers))

    def _list(
        self, mailboxes: Iterable[int], received_at: int, email: int, thread: int, flags: int
    ) -> None:
        for mailbox in mailboxes:
            self.connection.execute(
                "INSERT INTO mbx (mailbox, received_at, email, thread, flags)"
                " VALUES (?, ?, ?, ?, ?)",
                (mailbox, received_at, email, thread, flags),
            )

    def _unlist(self, mailboxes: Iterable[int], received_at: int, email: int) -> None:
        for mailbox in mailboxes:
            self.connection.execute(
                "DELETE FROM mbx WHERE mailbox = ? AND received_at = ? AND email = ?",
                (mailbox, received_at, email),
            )

    def _add_keywords(
        self, words: Iterable[str], received_at: int, email: int, thread: int
    ) -> None:
        for word in words:
            if word != "$seen":
                self.connection.execute(
                    "INSERT INTO keyword (keyword, received_at, email, thread) VALUES (?, ?, ?, ?)",
                    (word, received_at, email, thread),
                )

    def _remove_keywords(self, words: Iterable[str], received_at: int, email: int) -> None:
        for word in words:
            self.connection.execute(
                "DELETE FROM keyword WHERE keyword = ? AND received_at = ? AND email = ?",
                (word, received_at, email),
            )

    # Uploads

    def add_upload(self, blob_id: str, media_type: str, size: int, now: float, user: str) -> None:
        self._discount(blob_id, user)
        self.connection.execute(
            "INSERT OR REPLACE INTO upload (blob, user, type, size, counted, at)"
            " VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
            (blob_id, user, media_type, size, now),
        )
        self._count(user, size)

    def expire_uploads(self, before: float) -> tuple[str, ...]:
        forgotten: dict[str, None] = {}
        oldest = "SELECT blob, user FROM upload WHERE at < ? ORDER BY at, blob LIMIT 1"
        while (row := self.connection.row(oldest, (before,))) is not None:
            self._forget_upload(*row)
            forgotten[row[0]] = None
        return tuple(forgotten)

    def limit_uploads(self, user: str, quota: int) -> tuple[str, ...]:
        forgotten: list[str] = []
        # One at a time: as a rule nothing has to go, however many there are.
        oldest = "SELECT blob FROM upload WHERE user = ? AND counted > 0 ORDER BY at, blob LIMIT 1"
        while self.upload_usage(user) > quota:
            blob: str = self.connection.value(oldest, (user,))
            self._forget_upload(blob, user)
            forgotten.append(blob)
        return tuple(forgotten)

    def _forget_upload(self, blob: str, user: str) -> None:
        self._discount(blob, user)
        self.connection.execute("DELETE FROM upload WHERE blob = ? AND user = ?", (blob, user))

    def _discount(self, blob: str, user: str | None = None) -> None:
        """Let uploads of a blob, by one user or by all, count no more."""
        counted = self.connection.all(
            "SELECT user, counted FROM upload"
            " WHERE blob = ?1 AND counted > 0 AND (?2 IS NULL OR user = ?2)",
            (blob, user),
        )
        for uploader, octets in counted:
            self._count(uploader, -octets)
            self.connection.execute(
                "UPDATE upload SET counted = 0 WHERE blob = ? AND user = ?", (blob, uploader)
            )

    def _count(self, user: str, octets: int) -> None:
        self.connection.execute(
            "INSERT INTO uploader (user, octets) VALUES (?1, ?2)"
            " ON CONFLICT (user) DO UPDATE SET octets = octets + ?2",
            (user, octets),
        )

    # Notes

    def remember(self, kind: str, key: str, now: int, until: int, limit: int) -> bool:
        self.connection.execute("DELETE FROM note WHERE kind = ? AND until <= ?", (kind, now))
        if self.connection.row("SELECT 1 FROM note WHERE kind = ? AND key = ?", (kind, key)):
            return False
        self.connection.execute(
            "INSERT INTO note (kind, key, until) VALUES (?, ?, ?)", (kind, key, until)
        )
        self.connection.execute(
            "DELETE FROM note WHERE kind = ?1 AND key IN"
            " (SELECT key FROM note WHERE kind = ?1 ORDER BY until DESC LIMIT -1 OFFSET ?2)",
            (kind, limit),
        )
        return True


# Mailboxes and keywords are the same for most Emails.


@lru_cache(1000)
def _normalized(keywords: tuple[str, ...]) -> tuple[str, ...]:
    words = sorted({keyword.lower() for keyword in keywords})
    for word in words:
        if word.split() != [word]:
            raise ValueError(f"{word!r} is not a keyword")
    return tuple(words)


@lru_cache(1000)
def _joined_ids(mailboxes: tuple[int, ...]) -> str:
    return " ".join(map(mailbox_id, mailboxes))


@lru_cache(1000)
def _numbers(joined: str) -> tuple[int, ...]:
    return tuple(n for n in map(mailbox_number, joined.split()) if n is not None)


def _without(those: tuple[T, ...], others: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(one for one in those if one not in others)

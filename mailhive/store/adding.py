"""New Emails: their rows, their thread, and where they are listed."""

import zlib
from collections.abc import Iterable

from mailhive.model.email import NewEmail
from mailhive.store.conversations import add_references, find_thread, reference_keys
from mailhive.store.counts import Place
from mailhive.store.flags import flags_of, is_unread
from mailhive.store.ids import email_id, thread_id
from mailhive.store.listing import add_keywords, joined_ids, list_in, normalized
from mailhive.store.textindex import add_text
from mailhive.store.uploads import UploadWriter

__all__ = ["EmailAdder"]

# Of so little, more effort saves 1 %, and to make the tables of a larger window takes most of
# the time.
_LEVEL, _WINDOW, _MEMORY = 1, 12, 5


class EmailAdder(UploadWriter):
    """The part of `IMailWriter` that files messages."""

    def add_email(
        self, email: NewEmail, mailbox_ids: Iterable[str], keywords: Iterable[str]
    ) -> tuple[str, str]:
        mailboxes = self._mailboxes(mailbox_ids)
        words = normalized(tuple(keywords))
        flags = flags_of(words, email.has_attachment)
        number = self._next("email")
        keys = reference_keys(email.message_ids, email.thread_subject)
        thread = find_thread(self.connection, keys) or self._new_thread()
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
                joined_ids(mailboxes),
                " ".join(words),
                email.summary,
            ),
        )
        self.connection.execute(
            "INSERT INTO email_full (id, refs, headers, structure) VALUES (?, ?, ?, ?)",
            (
                number,
                b"".join(keys),
                _compressed(email.headers),
                _compressed(email.structure),
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
        listed = [(number, thread, email.received_at)]
        list_in(self.connection, (0, *mailboxes), listed, flags)
        add_keywords(self.connection, words, listed)
        add_text(self.connection, number, email.search)
        self.added_text = True
        self._counts.move([thread], None, Place(mailboxes, is_unread(flags)))
        self._counters["email_octets"] += email.size
        return email_id(number), thread_id(thread)

    def _new_thread(self) -> int:
        number = self._next("thread")
        self._counts.add_thread(number, self._log.next("Thread"))
        return number


def _compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return compressor.compress(data) + compressor.flush()

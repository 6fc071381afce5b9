"""Emails that move, get keywords, or go."""

from collections.abc import Iterable
from typing import Any, TypeVar

from mailhive.errors import NotFound
from mailhive.store.changeset import ChangeSet
from mailhive.store.conversations import remove_references
from mailhive.store.counts import Place
from mailhive.store.flags import ATTACHMENT, flags_of, is_unread
from mailhive.store.ids import email_number
from mailhive.store.listing import (
    add_keywords,
    joined_ids,
    list_in,
    normalized,
    numbers_of,
    remove_keywords,
    unlist,
)
from mailhive.store.textindex import remove_text

__all__ = ["EmailChanger"]

T = TypeVar("T")


class EmailChanger(ChangeSet):
    """The part of `IMailWriter` that changes and destroys Emails."""

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
        old_mailboxes, old_words = numbers_of(joined_mailboxes), tuple(joined_words.split())
        mailboxes = old_mailboxes if mailbox_ids is None else self._mailboxes(mailbox_ids)
        words = old_words if keywords is None else normalized(tuple(keywords))
        if (mailboxes, words) == (old_mailboxes, old_words):
            return
        new_flags = flags_of(words, bool(flags & ATTACHMENT))
        self.connection.execute(
            "UPDATE email SET flags = ?, mailboxes = ?, keywords = ?, modseq = ? WHERE id = ?",
            (
                new_flags,
                joined_ids(mailboxes),
                " ".join(words),
                self._log.next("Email"),
                number,
            ),
        )
        unlist(self.connection, _without(old_mailboxes, mailboxes), received_at, number)
        if new_flags != flags:
            for mailbox in (0, *(m for m in mailboxes if m in old_mailboxes)):
                self.connection.execute(
                    "UPDATE mbx SET flags = ? WHERE mailbox = ? AND received_at = ? AND email = ?",
                    (new_flags, mailbox, received_at, number),
                )
        list_in(
            self.connection,
            _without(mailboxes, old_mailboxes),
            received_at,
            number,
            thread,
            new_flags,
        )
        remove_keywords(self.connection, _without(old_words, words), received_at, number)
        add_keywords(self.connection, _without(words, old_words), received_at, number, thread)
        self._counts.move(
            Place(thread, old_mailboxes, is_unread(flags)),
            Place(thread, mailboxes, is_unread(new_flags)),
        )

    def destroy_email(self, email_id: str) -> None:
        number, thread, received_at, size, flags, createdseq, joined_mailboxes, words = self._email(
            email_id, "id, thread, received_at, size, flags, createdseq, mailboxes, keywords"
        )
        mailboxes = numbers_of(joined_mailboxes)
        refs = self.connection.value("SELECT refs FROM email_full WHERE id = ?", (number,))
        remove_references(self.connection, refs, thread, number)
        unlist(self.connection, (0, *mailboxes), received_at, number)
        remove_keywords(self.connection, words.split(), received_at, number)
        remove_text(self.connection, number)
        for table in ("email", "email_full", "email_sort"):
            self.connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
        self._log.bury("Email", email_id, createdseq)
        self._counts.move(Place(thread, mailboxes, is_unread(flags)), None)
        self._counters["email_octets"] -= size

    def _email(self, wire: str, columns: str) -> tuple[Any, ...]:
        number = email_number(wire)
        row = self.connection.row(f"SELECT {columns} FROM email WHERE id = ?", (number,))
        if row is None:
            raise NotFound(f"There is no Email {wire}")
        return row


def _without(those: tuple[T, ...], others: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(one for one in those if one not in others)

"""Emails that are filed anew, or go: all of a call at once.

Most Emails of a call go the same way, say from the inbox to an archive.  What follows is
worked out once for all of these, and each statement is run for all of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from attrs import frozen

from mailhive.errors import NotFound
from mailhive.model.email import Filing
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
    relist,
    remove_keywords,
    unlist,
)
from mailhive.store.textindex import remove_text

__all__ = ["EmailChanger"]

T = TypeVar("T")

#: A row of the table `email`: these columns.
_Row = tuple[Any, ...]
_COLUMNS = "id, thread, received_at, flags, mailboxes, keywords, size, createdseq"


@frozen
class _Labels:
    """Mailboxes, keywords, and the flags that stand for some of these."""

    mailboxes: tuple[int, ...]
    words: tuple[str, ...]
    flags: int

    @property
    def place(self) -> Place:
        return Place(self.mailboxes, is_unread(self.flags))


class EmailChanger(ChangeSet):
    """The part of `IMailWriter` that changes and destroys Emails."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        #: Rows that were read and have not changed since, by id of the Email.
        self._rows: dict[str, _Row] = {}

    def filings(self, ids: Iterable[str]) -> dict[str, Filing]:
        ids = tuple(ids)
        self._read(ids)
        known = self._rows
        return {wire: _filing(row[4], row[5]) for wire in ids if (row := known.get(wire))}

    def update_emails(self, filings: Mapping[str, Filing]) -> None:
        ways: dict[tuple[Any, ...], list[_Row]] = defaultdict(list)
        for row, filing in zip(self._existing(filings), filings.values(), strict=True):
            ways[filing, row[3], row[4], row[5]].append(row)
        # All are looked at before any is changed.
        changes = [(*self._way(*way), rows) for way, rows in ways.items()]
        for before, after, rows in changes:
            if before != after:
                self._change(before, after, rows)
        for wire in filings:
            del self._rows[wire]

    def destroy_emails(self, ids: Iterable[str]) -> None:
        ids = tuple(dict.fromkeys(ids))
        rows = self._existing(ids)
        if not rows:
            return
        places: dict[tuple[Any, ...], list[_Row]] = defaultdict(list)
        for row in rows:
            places[row[3:6]].append(row)
        for place, those in places.items():
            before = _labels(*place)
            unlist(self.connection, (0, *before.mailboxes), those)
            remove_keywords(self.connection, before.words, those)
            self._counts.move([row[1] for row in those], before.place, None)
        numbers = [row[0] for row in rows]
        remove_references(self.connection, {row[0]: row[1] for row in rows})
        remove_text(self.connection, numbers)
        for table in ("email", "email_full", "email_sort"):
            self.connection.many(f"DELETE FROM {table} WHERE id = ?", [(n,) for n in numbers])
        self._log.bury("Email", [(wire, row[7]) for wire, row in zip(ids, rows, strict=True)])
        self._counters["email_octets"] -= sum(row[6] for row in rows)
        for wire in ids:
            del self._rows[wire]

    def _way(
        self, filing: Filing, flags: int, mailboxes: str, words: str
    ) -> tuple[_Labels, _Labels]:
        """What Emails with these columns have, and what they are going to have."""
        wanted = normalized(filing.keywords)
        after = _Labels(
            self._mailboxes(filing.mailbox_ids),
            wanted,
            flags_of(wanted, bool(flags & ATTACHMENT)),
        )
        return _labels(flags, mailboxes, words), after

    def _change(self, before: _Labels, after: _Labels, rows: list[_Row]) -> None:
        connection = self.connection
        mailboxes, words = joined_ids(after.mailboxes), " ".join(after.words)
        seqs = self._log.take("Email", len(rows))
        connection.many(
            "UPDATE email SET flags = ?, mailboxes = ?, keywords = ?, modseq = ? WHERE id = ?",
            [
                (after.flags, mailboxes, words, seq, row[0])
                for seq, row in zip(seqs, rows, strict=True)
            ],
        )
        unlist(connection, _without(before.mailboxes, after.mailboxes), rows)
        if after.flags != before.flags:
            stays = (m for m in after.mailboxes if m in before.mailboxes)
            relist(connection, (0, *stays), rows, after.flags)
        list_in(connection, _without(after.mailboxes, before.mailboxes), rows, after.flags)
        remove_keywords(connection, _without(before.words, after.words), rows)
        add_keywords(connection, _without(after.words, before.words), rows)
        self._counts.move([row[1] for row in rows], before.place, after.place)

    def _existing(self, ids: Iterable[str]) -> list[_Row]:
        """The rows of Emails, which have to be there."""
        self._read(ids)
        try:
            return [self._rows[wire] for wire in ids]
        except KeyError as error:
            raise NotFound(f"There is no Email {error.args[0]}") from None

    def _read(self, ids: Iterable[str]) -> None:
        unread = {email_number(wire): wire for wire in ids if wire not in self._rows}
        numbers = [number for number in unread if number is not None]
        select = f"SELECT {_COLUMNS} FROM email WHERE id IN ({{ids}})"
        for row in self.connection.all_of(select, numbers):
            self._rows[unread[row[0]]] = row


# The same for most Emails.


@lru_cache(1000)
def _filing(mailboxes: str, keywords: str) -> Filing:
    return Filing(tuple(mailboxes.split()), tuple(keywords.split()))


@lru_cache(1000)
def _labels(flags: int, mailboxes: str, words: str) -> _Labels:
    return _Labels(numbers_of(mailboxes), tuple(words.split()), flags)


def _without(those: tuple[T, ...], others: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(one for one in those if one not in others)

"""Where Emails are listed: the rows of their mailboxes and of their keywords.

An Email is a tuple here that begins with its number, its thread and its `received_at`.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mailhive.sqlite.connection import Connection
from mailhive.store.ids import mailbox_id, mailbox_number

__all__ = [
    "add_keywords",
    "joined_ids",
    "list_in",
    "normalized",
    "numbers_of",
    "relist",
    "remove_keywords",
    "unlist",
]

_Emails = Sequence[tuple[Any, ...]]


def list_in(connection: Connection, mailboxes: Iterable[int], emails: _Emails, flags: int) -> None:
    connection.many(
        "INSERT INTO mbx (mailbox, received_at, email, thread, flags) VALUES (?, ?, ?, ?, ?)",
        [(mailbox, e[2], e[0], e[1], flags) for mailbox in mailboxes for e in emails],
    )


def relist(connection: Connection, mailboxes: Iterable[int], emails: _Emails, flags: int) -> None:
    connection.many(
        "UPDATE mbx SET flags = ? WHERE mailbox = ? AND received_at = ? AND email = ?",
        [(flags, mailbox, e[2], e[0]) for mailbox in mailboxes for e in emails],
    )


def unlist(connection: Connection, mailboxes: Iterable[int], emails: _Emails) -> None:
    connection.many(
        "DELETE FROM mbx WHERE mailbox = ? AND received_at = ? AND email = ?",
        [(mailbox, e[2], e[0]) for mailbox in mailboxes for e in emails],
    )


def add_keywords(connection: Connection, words: Iterable[str], emails: _Emails) -> None:
    connection.many(
        "INSERT INTO keyword (keyword, received_at, email, thread) VALUES (?, ?, ?, ?)",
        [(word, e[2], e[0], e[1]) for word in _listed(words) for e in emails],
    )


def remove_keywords(connection: Connection, words: Iterable[str], emails: _Emails) -> None:
    connection.many(
        "DELETE FROM keyword WHERE keyword = ? AND received_at = ? AND email = ?",
        [(word, e[2], e[0]) for word in _listed(words) for e in emails],
    )


def _listed(words: Iterable[str]) -> list[str]:
    return [word for word in words if word != "$seen"]


# Mailboxes and keywords are the same for most Emails.


@lru_cache(1000)
def normalized(keywords: tuple[str, ...]) -> tuple[str, ...]:
    words = sorted({keyword.lower() for keyword in keywords})
    for word in words:
        if word.split() != [word]:
            raise ValueError(f"{word!r} is not a keyword")
    return tuple(words)


@lru_cache(1000)
def joined_ids(mailboxes: tuple[int, ...]) -> str:
    return " ".join(map(mailbox_id, mailboxes))


@lru_cache(1000)
def numbers_of(joined: str) -> tuple[int, ...]:
    return tuple(n for n in map(mailbox_number, joined.split()) if n is not None)

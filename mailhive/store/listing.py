"""Where an Email is listed: the rows of its mailboxes and of its keywords."""

from collections.abc import Iterable
from functools import lru_cache

from mailhive.sqlite.connection import Connection
from mailhive.store.ids import mailbox_id, mailbox_number

__all__ = [
    "add_keywords",
    "joined_ids",
    "list_in",
    "normalized",
    "numbers_of",
    "remove_keywords",
    "unlist",
]


def list_in(
    connection: Connection,
    mailboxes: Iterable[int],
    received_at: int,
    email: int,
    thread: int,
    flags: int,
) -> None:
    for mailbox in mailboxes:
        connection.execute(
            "INSERT INTO mbx (mailbox, received_at, email, thread, flags) VALUES (?, ?, ?, ?, ?)",
            (mailbox, received_at, email, thread, flags),
        )


def unlist(connection: Connection, mailboxes: Iterable[int], received_at: int, email: int) -> None:
    for mailbox in mailboxes:
        connection.execute(
            "DELETE FROM mbx WHERE mailbox = ? AND received_at = ? AND email = ?",
            (mailbox, received_at, email),
        )


def add_keywords(
    connection: Connection, words: Iterable[str], received_at: int, email: int, thread: int
) -> None:
    for word in words:
        if word != "$seen":
            connection.execute(
                "INSERT INTO keyword (keyword, received_at, email, thread) VALUES (?, ?, ?, ?)",
                (word, received_at, email, thread),
            )


def remove_keywords(
    connection: Connection, words: Iterable[str], received_at: int, email: int
) -> None:
    for word in words:
        connection.execute(
            "DELETE FROM keyword WHERE keyword = ? AND received_at = ? AND email = ?",
            (word, received_at, email),
        )


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

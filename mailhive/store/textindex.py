"""The full-text index of an account, filled some time after the messages come in.

A delivery only notes its folded text in `fts_pending`, in its own transaction;
the note moves to the index in a later write, many at a time.
"""

from collections.abc import Sequence
from typing import Any

from mailhive.model.email import SearchText
from mailhive.sqlite.connection import Connection

__all__ = ["add_text", "index_pending", "index_some", "is_behind", "remove_text"]

#: In the order of the fields of `SearchText`.
_COLUMNS = "sender, receiver, cc, bcc, subject, body, attachments"

#: Messages indexed at once: about 50 ms of other writes' time.
_BATCH = 64


def add_text(connection: Connection, email: int, search: SearchText) -> None:
    """Note the text of a new Email."""
    connection.execute(
        f"INSERT INTO fts_pending (email, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (email, *search.folded),
    )


def remove_text(connection: Connection, emails: Sequence[int]) -> None:
    """Forget the text of Emails, wherever it is."""
    waiting = "SELECT email FROM fts_pending WHERE email IN ({ids})"
    pending = {row[0] for row in connection.all_of(waiting, emails)}
    connection.many("DELETE FROM fts_pending WHERE email = ?", [(e,) for e in pending])
    connection.many("DELETE FROM fts WHERE rowid = ?", [(e,) for e in emails if e not in pending])


def is_behind(connection: Connection) -> bool:
    """Are there texts that are not in the index yet?"""
    return connection.row("SELECT 1 FROM fts_pending LIMIT 1") is not None


def index_some(writer: Any) -> bool:
    """Index a batch; returns whether some are left."""
    connection: Connection = writer.connection
    last = connection.value(
        "SELECT max(email) FROM (SELECT email FROM fts_pending ORDER BY email LIMIT ?)", (_BATCH,)
    )
    if last is None:
        return False
    connection.execute(
        f"INSERT INTO fts (rowid, {_COLUMNS})"
        f" SELECT email, {_COLUMNS} FROM fts_pending WHERE email <= ? ORDER BY email",
        (last,),
    )
    connection.execute("DELETE FROM fts_pending WHERE email <= ?", (last,))
    return is_behind(connection)


def index_pending(writer: Any) -> None:
    """Index all that is left."""
    while index_some(writer):
        pass

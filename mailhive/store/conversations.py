"""Which thread a message belongs to (RFC 8621 §3).

Two messages share a thread when they share a message id and the base subject.
The pair is kept as a digest, so that looking up a message is one probe of an
index per id it names.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from mailhive.sqlite.connection import Connection

__all__ = ["add_references", "find_thread", "reference_keys", "remove_references"]

_SIZE = 16


def reference_keys(message_ids: Iterable[str], thread_subject: str) -> tuple[bytes, ...]:
    """The keys under which a message is found, each once."""
    subject = thread_subject.encode("utf-8", "surrogatepass")
    return tuple(
        blake2b(
            message_id.encode("utf-8", "surrogatepass") + b"\0" + subject, digest_size=_SIZE
        ).digest()
        for message_id in dict.fromkeys(message_ids)
    )


def find_thread(connection: Connection, keys: Iterable[bytes]) -> int | None:
    """The oldest thread that has a message with one of `keys`."""
    found = (
        connection.value("SELECT min(thread) FROM reference WHERE key = ?", (key,)) for key in keys
    )
    return min((thread for thread in found if thread is not None), default=None)


def add_references(connection: Connection, keys: Iterable[bytes], thread: int, email: int) -> None:
    """Let messages that share one of `keys` find the thread."""
    connection.many(
        "INSERT INTO reference (key, thread, email) VALUES (?, ?, ?)",
        [(key, thread, email) for key in keys],
    )


def remove_references(connection: Connection, threads: Mapping[int, int]) -> None:
    """Undo `add_references` of Emails; `threads` has the thread of each."""
    rows = connection.all_of("SELECT id, refs FROM email_full WHERE id IN ({ids})", list(threads))
    connection.many(
        "DELETE FROM reference WHERE key = ? AND thread = ? AND email = ?",
        [
            (refs[start : start + _SIZE], threads[email], email)
            for email, refs in rows
            for start in range(0, len(refs), _SIZE)
        ],
    )

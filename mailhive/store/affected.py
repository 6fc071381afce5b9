"""Which Emails may have another place in the results of a query than at an earlier state.

Whether an Email is among the results, and whether it comes before another, can
depend on what never changes (size, dates, text), on its mailboxes and keywords,
or on the others of its Thread (their keywords, collapseThreads).  So affected are
the Emails created and destroyed; those changed; or all of the Threads of these.

A tombstone does not name the Thread, but a Thread that gains or loses an Email gets
a modseq, which is higher than that of the Email and lower than those of later changes.
"""

from typing import TYPE_CHECKING

from attrs import frozen

from mailhive.errors import CannotCalculateChanges
from mailhive.model.email import EmailQuery, filter_names
from mailhive.sqlite.connection import Connection
from mailhive.store.ids import email_number

if TYPE_CHECKING:
    from mailhive.store.reader import Reader

__all__ = ["THREAD_NAMES", "Affected", "affected_since", "is_immutable"]

#: Conditions and sorts that look at the keywords of a whole Thread.
THREAD_NAMES = frozenset(
    {"allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword"}
)
#: Conditions and sorts that look at an Email's mailboxes and keywords.
_OWN_NAMES = frozenset({"inMailbox", "inMailboxOtherThan", "hasKeyword", "notKeyword"})

_NO_LIMIT = 2**62


@frozen
class Affected:
    """Email numbers: of those there are, of those of them that are new, and of those gone."""

    present: frozenset[int]
    created: frozenset[int]
    destroyed: frozenset[int]

    @property
    def before(self) -> frozenset[int]:
        """Those that may have been among the results."""
        return (self.present - self.created) | self.destroyed

    def __len__(self) -> int:
        return len(self.present) + len(self.destroyed)


def is_immutable(query: EmailQuery) -> bool:
    """Does the query look only at what never changes (RFC 8620 §5.6)?"""
    return (_OWN_NAMES | THREAD_NAMES).isdisjoint(_names(query))


def affected_since(
    reader: "Reader", query: EmailQuery, since: int, limit: int = _NO_LIMIT
) -> Affected:
    """The Emails affected by what happened after the Email state `since`.

    When there are more than `limit`, the answer is more than `limit` of them.
    `CannotCalculateChanges` for a state that the change log does not reach.
    """
    connection = reader.connection
    row = connection.row("SELECT modseq, horizon FROM type_state WHERE type = 'Email'")
    state, horizon = row or (0, 0)
    if not horizon <= since <= state:
        raise CannotCalculateChanges(f"Email state {since} is not in the change log")

    def numbers(sql: str, after: int) -> frozenset[int]:
        rows = connection.rows(f"{sql} LIMIT ?2", (after, limit + 1))
        return frozenset(number for (number,) in reader.examine(rows))

    present = created = numbers("SELECT id FROM email WHERE createdseq > ?1", since)
    changed = "FROM email WHERE modseq > ?1 AND modseq > createdseq"
    touched = "FROM thread WHERE modseq > ?1 AND modseq > createdseq"
    of_threads = "SELECT id FROM email WHERE thread IN"
    by_thread = query.collapse_threads or not THREAD_NAMES.isdisjoint(_names(query))
    if by_thread and (first := _first_come_or_gone(connection, since)):
        present |= numbers(f"{of_threads} (SELECT id {touched})", first)
    if not is_immutable(query):
        wanted = f"{of_threads} (SELECT thread {changed})" if by_thread else f"SELECT id {changed}"
        present |= numbers(wanted, since)
    destroyed = connection.rows(
        "SELECT id FROM tombstone WHERE type = 'Email' AND seq > ?1 AND createdseq <= ?1 LIMIT ?2",
        (since, limit + 1),
    )
    gone = frozenset(n for (wire,) in reader.examine(destroyed) if (n := email_number(wire)))
    return Affected(present, created, gone)


def _first_come_or_gone(connection: Connection, since: int) -> int | None:
    """The modseq of the first creation or destruction of an Email after `since`, as far as told.

    Threads that changed before that did so with an Email that `since` includes.
    """
    created = connection.value("SELECT min(createdseq) FROM email WHERE createdseq > ?", (since,))
    destroyed = connection.value(
        "SELECT min(seq) FROM tombstone WHERE type = 'Email' AND seq > ?", (since,)
    )
    return min((seq for seq in (created, destroyed) if seq is not None), default=None)


def _names(query: EmailQuery) -> set[str]:
    return {*filter_names(query.filter), *(c.property for c in query.sort)}

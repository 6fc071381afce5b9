"""The change log: what changed since a state (RFC 8620 §5.2).

An object's row holds the modseq of its creation and of its last change, and a
destroyed object leaves a tombstone, so there is one entry per object however
often it changed.  A change is told at the modseq from which on a client has to
know of it: a creation at `createdseq`, any number of updates at `modseq`, the
destruction at the tombstone's `seq`.  A Mailbox, whose counts change all the time,
is told twice: at `propseq` that it changed, at `modseq` that its counts did.
"""

import heapq
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

from attrs import frozen

from mailhive.errors import CannotCalculateChanges
from mailhive.model.changes import Changes
from mailhive.sqlite.connection import Connection
from mailhive.store.ids import email_id, thread_id

__all__ = ["Life", "Log", "read_changes"]

_Entry = tuple[int, int, str, bool]  # key, kind, id, only counts changed
_CREATED, _UPDATED, _DESTROYED = range(3)


@frozen
class Life:
    """How long a tombstone is kept: seconds, and how many of a type."""

    seconds: float = 60 * 86_400.0
    entries: int = 100_000


def read_changes(
    connection: Connection,
    type_name: str,
    since: int,
    limit: int | None,
    examine: Callable[[Iterator[tuple[Any, ...]]], Iterator[tuple[Any, ...]]],
) -> Changes:
    """`IMailReader.changes`; every row read goes through `examine`, which may refuse."""
    row = connection.row("SELECT modseq, horizon FROM type_state WHERE type = ?", (type_name,))
    state, horizon = row or (0, 0)
    if not horizon <= since <= state:
        raise CannotCalculateChanges(f"{type_name} state {since} is not in the change log")
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    only_counts: list[str] = []
    more = False
    new_state = state
    with (
        closing(_created(connection, type_name, since, examine)) as created,
        closing(_changed(connection, type_name, since, examine)) as changed,
        closing(_updated(connection, type_name, since, examine)) as updated,
        closing(_destroyed(connection, type_name, since, examine)) as destroyed,
    ):
        last = since
        told: set[str] = set()
        for key, kind, wire, counts in heapq.merge(created, changed, updated, destroyed):
            if wire not in told:
                if len(told) == limit:
                    more, new_state = True, last
                    break
                told.add(wire)
                found[kind].append(wire)
                if counts:
                    only_counts.append(wire)
            last = key
    return Changes(
        old_state=since,
        new_state=new_state,
        has_more=more,
        created=tuple(found[_CREATED]),
        updated=tuple(found[_UPDATED]),
        destroyed=tuple(found[_DESTROYED]),
        only_counts=tuple(only_counts),
    )


_Examine = Callable[[Iterator[tuple[Any, ...]]], Iterator[tuple[Any, ...]]]


def _created(
    connection: Connection, type_name: str, since: int, examine: _Examine
) -> Generator[_Entry, None, None]:
    table, where, parameters, wire = _source(type_name)
    rows = connection.rows(
        f"SELECT createdseq, id FROM {table} WHERE {where} createdseq > ? ORDER BY createdseq",
        (*parameters, since),
    )
    for seq, number in examine(rows):
        yield seq, _CREATED, wire(number), False


def _updated(
    connection: Connection, type_name: str, since: int, examine: _Examine
) -> Generator[_Entry, None, None]:
    table, where, parameters, wire = _source(type_name)
    rows = connection.rows(
        f"SELECT modseq, id, createdseq FROM {table}"
        f" WHERE {where} modseq > ? AND modseq > createdseq ORDER BY modseq",
        (*parameters, since),
    )
    for seq, number, createdseq in examine(rows):
        if createdseq <= since:
            yield seq, _UPDATED, wire(number), type_name == "Mailbox"


def _changed(
    connection: Connection, type_name: str, since: int, examine: _Examine
) -> Generator[_Entry, None, None]:
    """Mailboxes at the last change of more than their counts."""
    if type_name != "Mailbox":
        return
    rows = connection.rows(
        "SELECT propseq, id, createdseq FROM record WHERE type = 'Mailbox' AND propseq > ?"
        " AND propseq > createdseq ORDER BY propseq",
        (since,),
    )
    for seq, wire, createdseq in examine(rows):
        if createdseq <= since:
            yield seq, _UPDATED, wire, False


def _destroyed(
    connection: Connection, type_name: str, since: int, examine: _Examine
) -> Generator[_Entry, None, None]:
    rows = connection.rows(
        "SELECT seq, id, createdseq FROM tombstone WHERE type = ? AND seq > ? ORDER BY seq",
        (type_name, since),
    )
    for seq, wire, createdseq in examine(rows):
        if createdseq <= since:
            yield seq, _DESTROYED, wire, False


def _source(type_name: str) -> tuple[str, str, tuple[str, ...], Callable[[Any], str]]:
    """Table, condition with its parameters, and the wire form of an id."""
    if type_name == "Email":
        return "email", "", (), email_id
    if type_name == "Thread":
        return "thread", "", (), thread_id
    return "record", "type = ? AND", (type_name,), str


class Log:
    """The log as a writer continues it; `flush` brings the tables up to date."""

    def __init__(self, connection: Connection, modseq: int, life: Life, now: float) -> None:
        self._connection = connection
        self._life = life
        self._now = int(now)
        self._buried: dict[str, int] = {}
        self._unflushed: dict[str, int] = {}
        self.modseq = modseq
        #: The types that changed, with their states.
        self.changed: dict[str, int] = {}

    def next(self, type_name: str) -> int:
        """The modseq of one change of one object of a type."""
        self.modseq += 1
        self.changed[type_name] = self._unflushed[type_name] = self.modseq
        return self.modseq

    def note(self, type_name: str, modseq: int) -> None:
        """A type without objects changed with one that has them (EmailDelivery)."""
        self.changed[type_name] = self._unflushed[type_name] = modseq

    def bury(self, type_name: str, wire: str, createdseq: int) -> None:
        """Log that an object was destroyed."""
        self._connection.execute(
            "INSERT INTO tombstone (type, seq, createdseq, id, at) VALUES (?, ?, ?, ?, ?)",
            (type_name, self.next(type_name), createdseq, wire, self._now),
        )
        self._buried[type_name] = self._buried.get(type_name, 0) + 1

    def flush(self) -> None:
        """Write the states, and forget tombstones whose time is over."""
        for type_name, modseq in self._unflushed.items():
            self._connection.execute(
                "INSERT INTO type_state (type, modseq, horizon, tombstones) VALUES (?, ?, 0, ?)"
                " ON CONFLICT (type) DO UPDATE SET modseq = excluded.modseq,"
                " tombstones = type_state.tombstones + excluded.tombstones",
                (type_name, modseq, self._buried.get(type_name, 0)),
            )
        self._unflushed = {}
        for type_name in self._buried:
            self._forget(type_name)
        self._buried = {}

    def _forget(self, type_name: str) -> None:
        count = self._connection.value(
            "SELECT tombstones FROM type_state WHERE type = ?", (type_name,)
        )
        surplus = count - self._life.entries
        oldest = self._now - self._life.seconds
        forgotten, horizon = 0, 0
        rows = self._connection.rows(
            "SELECT seq, at FROM tombstone WHERE type = ? ORDER BY seq", (type_name,)
        )
        with closing(rows):
            for seq, at in rows:
                if at >= oldest and forgotten >= surplus:
                    break
                forgotten, horizon = forgotten + 1, seq
        if forgotten:
            self._connection.execute(
                "DELETE FROM tombstone WHERE type = ? AND seq <= ?", (type_name, horizon)
            )
            self._connection.execute(
                "UPDATE type_state SET tombstones = tombstones - ?, horizon = ? WHERE type = ?",
                (forgotten, horizon, type_name),
            )

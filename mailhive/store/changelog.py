"""The change log: what changed since a state (RFC 8620 §5.2).

An object's row holds the modseq of its creation and of its last change, and a
destroyed object leaves a tombstone, so there is one entry per object however
often it changed.  A change is told at the modseq from which on a client has to
know of it: a creation at `createdseq`, any number of updates at `modseq`, the
destruction at the tombstone's `seq`.  A Mailbox, whose counts change all the time,
is told twice: at `propseq` that it changed, at `modseq` that its counts did.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from attrs import frozen

from mailhive.errors import CannotCalculateChanges
from mailhive.model.changes import Changes
from mailhive.sqlite.connection import Connection
from mailhive.store.ids import email_id, thread_id

__all__ = ["Life", "Log", "read_changes"]

#: Kinds of entries, in the order in which those of one modseq are told.
_CREATED, _UPDATED, _DESTROYED, _COUNTED = range(4)


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
    told: set[Any] = set()
    more, new_state, last = False, state, since
    wire_of = _WIRE.get(type_name, str)
    entries = connection.rows(_ENTRIES.get(type_name, _RECORD_ENTRIES), (since, type_name))
    with closing(entries):
        for seq, kind, key, createdseq in examine(entries):
            # What was created since is told as that, and not at all when it is gone again.
            if key not in told and not (kind == _DESTROYED and createdseq > since):
                if len(told) == limit:
                    more, new_state = True, last
                    break
                told.add(key)
                wire = key if kind == _DESTROYED else wire_of(key)
                if kind == _COUNTED:
                    found[_UPDATED].append(wire)
                    only_counts.append(wire)
                else:
                    found[kind].append(wire)
            last = seq
    return Changes(
        old_state=since,
        new_state=new_state,
        has_more=more,
        created=tuple(found[_CREATED]),
        updated=tuple(found[_UPDATED]),
        destroyed=tuple(found[_DESTROYED]),
        only_counts=tuple(only_counts),
    )


def _entries(*sources: str, order: str = "1") -> str:
    """All entries since a state (?1) of a type (?2): modseq, kind, key, createdseq.

    Each source is in order by its index, so that SQLite merges them as it goes.
    """
    tombstones = (
        f"SELECT seq, {_DESTROYED}, id, createdseq FROM tombstone WHERE type = ?2 AND seq > ?1"
    )
    return " UNION ALL ".join((*sources, tombstones)) + f" ORDER BY {order}"


def _created(table: str, where: str = "") -> str:
    return (
        f"SELECT createdseq, {_CREATED}, id, createdseq FROM {table} WHERE {where} createdseq > ?1"
    )


def _updated(table: str, where: str = "", seq: str = "modseq", kind: int = _UPDATED) -> str:
    return (
        f"SELECT {seq}, {kind}, id, createdseq FROM {table}"
        f" WHERE {where} {seq} > ?1 AND {seq} > createdseq"
    )


_RECORD = "type = ?2 AND"
_RECORD_ENTRIES = _entries(_created("record", _RECORD), _updated("record", _RECORD))
_ENTRIES = {
    "Email": _entries(_created("email"), _updated("email")),
    "Thread": _entries(_created("thread"), _updated("thread")),
    "Mailbox": _entries(
        _created("record", _RECORD),
        _updated("record", _RECORD, "propseq"),
        _updated("record", _RECORD, "modseq", _COUNTED),
        order="1, 2",
    ),
}
#: Objects that are not records are numbered; only their tombstones have the id.
_WIRE: dict[str, Callable[[Any], str]] = {"Email": email_id, "Thread": thread_id}


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
        return self.take(type_name, 1)[0]

    def take(self, type_name: str, count: int) -> range:
        """The modseqs of changes of that many objects, at least one: one for each."""
        first = self.modseq + 1
        self.modseq += count
        self.changed[type_name] = self._unflushed[type_name] = self.modseq
        return range(first, first + count)

    def note(self, type_name: str, modseq: int) -> None:
        """A type without objects changed with one that has them (EmailDelivery)."""
        self.changed[type_name] = self._unflushed[type_name] = modseq

    def bury(self, type_name: str, objects: Sequence[tuple[str, int]]) -> None:
        """Log that objects, at least one, were destroyed, given by id and createdseq."""
        seqs = self.take(type_name, len(objects))
        self._connection.many(
            "INSERT INTO tombstone (type, seq, createdseq, id, at) VALUES (?, ?, ?, ?, ?)",
            [
                (type_name, seq, createdseq, wire, self._now)
                for seq, (wire, createdseq) in zip(seqs, objects, strict=True)
            ],
        )
        self._buried[type_name] = self._buried.get(type_name, 0) + len(objects)

    def flush(self) -> None:
        """Write the states, and forget tombstones whose time is over."""
        self._connection.many(
            "INSERT INTO type_state (type, modseq, horizon, tombstones) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (type) DO UPDATE SET modseq = excluded.modseq,"
            " tombstones = type_state.tombstones + excluded.tombstones",
            [(name, seq, self._buried.get(name, 0)) for name, seq in self._unflushed.items()],
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

"""Records: Mailbox and every type that is one JSON document per object."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mailhive.errors import NotFound
from mailhive.model.ids import is_id
from mailhive.store.changeset import ChangeSet
from mailhive.store.ids import record_id

__all__ = ["RecordWriter"]


class RecordWriter(ChangeSet):
    """The part of `IMailWriter` that changes records."""

    def create_record(
        self, type_name: str, data: Any, record_id: str | None = None, keys: Iterable[str] = ()
    ) -> str:
        """As `IMailWriter` has it.  Only types other than Mailbox can be given an id."""
        number = self._next("record")
        wire = self._record_id(type_name, number, record_id)
        seq = self._log.next(type_name)
        self.connection.execute(
            "INSERT INTO record (number, type, id, createdseq, modseq, propseq, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, type_name, wire, seq, seq, seq, msgspec.json.encode(data)),
        )
        for key in dict.fromkeys(keys):
            self.connection.execute(
                "INSERT INTO record_key (type, key, record) VALUES (?, ?, ?)",
                (type_name, key, number),
            )
        if type_name == "Mailbox":
            self.connection.execute("INSERT INTO mailbox (id) VALUES (?)", (number,))
            self._find_trash(number, data)
        return wire

    def update_record(self, type_name: str, record_id: str, data: Any) -> None:
        number, _ = self._record(type_name, record_id)
        self._counts.settle()  # so that counts do not come after the document
        seq = self._log.next(type_name)
        self.connection.execute(
            "UPDATE record SET data = ?, modseq = ?, propseq = ? WHERE number = ?",
            (msgspec.json.encode(data), seq, seq, number),
        )
        if type_name == "Mailbox":
            self._find_trash(number, data)

    def destroy_record(self, type_name: str, record_id: str) -> None:
        number, createdseq = self._record(type_name, record_id)
        if type_name == "Mailbox":
            self._counts.settle()
            if self.connection.row("SELECT 1 FROM mbx WHERE mailbox = ? LIMIT 1", (number,)):
                raise ValueError(f"Mailbox {record_id} is not empty")
            self.connection.execute("DELETE FROM mailbox WHERE id = ?", (number,))
            self._known_mailboxes.pop(record_id, None)
        self.connection.execute("DELETE FROM record WHERE number = ?", (number,))
        self.connection.execute("DELETE FROM record_key WHERE record = ?", (number,))
        self.connection.execute("DELETE FROM record_blob WHERE record = ?", (number,))
        self._log.bury(type_name, [(record_id, createdseq)])
        if type_name == "Mailbox":
            self._find_trash(number, {})

    def refer_to_blob(self, type_name: str, record_id: str, blob_id: str) -> None:
        number, _ = self._record(type_name, record_id)
        self.connection.execute(
            "INSERT OR IGNORE INTO record_blob (blob, record) VALUES (?, ?)", (blob_id, number)
        )

    def _record(self, type_name: str, wire: str) -> tuple[int, int]:
        row = is_id(wire) and self.connection.row(
            "SELECT number, createdseq FROM record WHERE type = ? AND id = ?", (type_name, wire)
        )
        if not row:
            raise NotFound(f"There is no {type_name} {wire}")
        return row[0], row[1]

    def _record_id(self, type_name: str, number: int, wanted: str | None) -> str:
        if wanted is None:
            return record_id(type_name, number)
        used = self.connection.row(
            "SELECT 1 FROM record WHERE type = ?1 AND id = ?2"
            " UNION ALL SELECT 1 FROM tombstone WHERE type = ?1 AND id = ?2",
            (type_name, wanted),
        )
        if used or type_name == "Mailbox":
            raise ValueError(f"A {type_name} cannot be given the id {wanted}")
        return wanted

    def _find_trash(self, changed: int, data: Any) -> None:
        """The oldest Mailbox whose role is trash is the one that counts (RFC 8621 §2).

        `changed` is a Mailbox that has `data` now.
        """
        if changed != self._counters["trash"] and data.get("role") != "trash":
            return
        rows = self.connection.all(
            "SELECT number, data FROM record WHERE type = 'Mailbox' ORDER BY number"
        )
        trash = next((n for n, data in rows if msgspec.json.decode(data).get("role") == "trash"), 0)
        if trash != self._counters["trash"]:
            self._counters["trash"] = trash
            self._counts.move_trash(trash)

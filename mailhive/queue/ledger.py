"""The tables of the outbox.  Plain functions on a connection; they block.

A message has a row until it is settled for every recipient and its
EmailSubmission has been told, or until it is canceled.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from attrs import frozen

from mailhive.model.envelope import Envelope
from mailhive.model.outbound import OutboundMessage, OutboundStatus, RecipientStatus
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema

__all__ = ["SCHEMA", "Ledger"]

SCHEMA = packaged_schema("mailhive.queue", "outbox", 0x4D684F62)

_ACCEPTED = "250 2.0.0 Accepted, on its way"
_IS_QUEUED = "EXISTS (SELECT 1 FROM recipient WHERE message = message.id AND delivered = 'queued')"


@frozen
class Ledger:
    """Each method is a transaction, durable when it returns.  Times are milliseconds."""

    connection: Connection

    def add(self, message: OutboundMessage, held: bool, now: int) -> None:
        """Accept a message, unless its id is there already."""
        with self.connection.transaction("IMMEDIATE"):
            if self.connection.row("SELECT 1 FROM message WHERE id = ?", (message.id,)):
                return
            envelope = message.envelope
            self.connection.execute(
                "INSERT INTO message (id, account, mail_from, parameters, blob, submitted_at,"
                " state, attempts, due_at, untold) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 0)",
                (
                    message.id,
                    message.account_id,
                    envelope.mail_from,
                    msgspec.json.encode(envelope.parameters).decode(),
                    message.blob_id,
                    message.submitted_at,
                    "new" if held else "ready",
                    None if held else now,
                ),
            )
            for position, address in enumerate(dict.fromkeys(envelope.recipients)):
                self.connection.execute(
                    "INSERT INTO recipient (message, position, address, delivered, reply)"
                    " VALUES (?, ?, ?, 'queued', ?)",
                    (message.id, position, address, _ACCEPTED),
                )

    def hold(self, message_id: str) -> bool:
        """Keep a message back; False unless it is ready and was handed to nobody yet."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute(
                "UPDATE message SET state = 'held', due_at = NULL"
                " WHERE id = ? AND state = 'ready' AND NOT EXISTS"
                " (SELECT 1 FROM recipient WHERE message = message.id AND delivered != 'queued')",
                (message_id,),
            )
            state = self.connection.value("SELECT state FROM message WHERE id = ?", (message_id,))
        return bool(state == "held")

    def release(self, message_id: str, now: int) -> None:
        """Let a message go that is held."""
        self.connection.execute(
            "UPDATE message SET state = 'ready', due_at = ? WHERE id = ? AND state != 'ready'",
            (now, message_id),
        )

    def cancel(self, message_id: str) -> None:
        """Forget a message that is held."""
        with self.connection.transaction("IMMEDIATE"):
            self._forget("id = ? AND state != 'ready'", message_id)

    def wake(self, now: int) -> None:
        """Have messages tried that wait for a way to their recipients; at the start."""
        self.connection.execute(
            "UPDATE message SET due_at = ?"
            f" WHERE state = 'ready' AND due_at IS NULL AND {_IS_QUEUED}",
            (now,),
        )

    def held(self) -> list[str]:
        """The messages that are held."""
        return self._ids("SELECT id FROM message WHERE state != 'ready'")

    def untold(self) -> list[str]:
        """The messages whose EmailSubmission does not say the newest."""
        return self._ids("SELECT id FROM message WHERE untold")

    def due(self, now: int, limit: int) -> list[str]:
        """The messages to be tried by now, those first that wait longest."""
        return self._ids(
            "SELECT id FROM message WHERE due_at <= ? ORDER BY due_at LIMIT ?", now, limit
        )

    def next_due(self, now: int) -> int | None:
        """When the next message is to be tried that is not by now."""
        found: int | None = self.connection.value(
            "SELECT due_at FROM message WHERE due_at > ? ORDER BY due_at LIMIT 1", (now,)
        )
        return found

    def is_ready(self, message_id: str) -> bool:
        """Is the message there, and neither held nor without a time to be tried?"""
        sql = "SELECT 1 FROM message WHERE id = ? AND due_at IS NOT NULL"
        return self.connection.row(sql, (message_id,)) is not None

    def note(self, message_id: str, results: Iterable[RecipientStatus]) -> None:
        """Write down what became of recipients."""
        with self.connection.transaction("IMMEDIATE"):
            for result in results:
                self.connection.execute(
                    "UPDATE recipient SET delivered = ?, reply = ? WHERE message = ?"
                    " AND address = ?",
                    (result.delivered, result.reply, message_id, result.address),
                )
            self.connection.execute(
                "UPDATE message SET untold = 1 WHERE id = ? AND account IS NOT NULL",
                (message_id,),
            )

    def end_attempt(self, message_id: str, attempts: int, due_at: int | None) -> None:
        """Write down when to try again, and how often it was tried."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute(
                "UPDATE message SET attempts = ?, due_at = ? WHERE id = ?",
                (attempts, due_at, message_id),
            )
            self._forget(f"id = ? AND NOT untold AND NOT {_IS_QUEUED}", message_id)

    def told(self, message_id: str) -> None:
        """The EmailSubmission says the newest."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute("UPDATE message SET untold = 0 WHERE id = ?", (message_id,))
            self._forget(f"id = ? AND due_at IS NULL AND NOT {_IS_QUEUED}", message_id)

    def attempts(self, message_id: str) -> int:
        """How often the message was tried."""
        sql = "SELECT attempts FROM message WHERE id = ?"
        return int(self.connection.value(sql, (message_id,)))

    def status(self, message_id: str) -> OutboundStatus | None:
        """How far a message has come; None if there is none of that id."""
        row = self.connection.row(
            "SELECT account, mail_from, parameters, blob, submitted_at, state"
            " FROM message WHERE id = ?",
            (message_id,),
        )
        if row is None:
            return None
        account, mail_from, parameters, blob, submitted_at, state = row
        recipients = tuple(
            RecipientStatus(*columns)
            for columns in self.connection.all(
                "SELECT address, delivered, reply FROM recipient WHERE message = ?"
                " ORDER BY position",
                (message_id,),
            )
        )
        envelope = Envelope(
            mail_from, tuple(r.address for r in recipients), msgspec.json.decode(parameters)
        )
        message = OutboundMessage(message_id, envelope, blob, submitted_at, account)
        return OutboundStatus(message, recipients, is_new=state == "new")

    def blob_ids(self, after: str, until: str, limit: int) -> Sequence[str]:
        """As `IOutbox.blob_ids`."""
        return self._ids(
            "SELECT DISTINCT blob FROM message WHERE blob > ? AND blob <= ? ORDER BY blob LIMIT ?",
            after,
            until,
            limit,
        )

    def _forget(self, which: str, message_id: str) -> None:
        if self.connection.row(f"SELECT 1 FROM message WHERE {which}", (message_id,)):
            self.connection.execute("DELETE FROM message WHERE id = ?", (message_id,))
            self.connection.execute("DELETE FROM recipient WHERE message = ?", (message_id,))

    def _ids(self, sql: str, *parameters: Any) -> list[str]:
        return [value for (value,) in self.connection.all(sql, parameters)]

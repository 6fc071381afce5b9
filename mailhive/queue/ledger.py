"""The tables of the outbox.  Plain functions on a connection; they block.

A message has a row until it is settled for every recipient, its EmailSubmission and
its sender have been told, or until it is canceled.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from attrs import frozen

from mailhive.model.envelope import Envelope
from mailhive.model.outbound import OutboundMessage, OutboundStatus, RecipientStatus
from mailhive.queue.schedule import Next
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema

__all__ = ["FILE", "SCHEMA", "Batch", "Due", "Ledger", "Report", "open_ledger"]

#: Below the data directory.
FILE = "outbox.sqlite"
SCHEMA = packaged_schema("mailhive.queue", "outbox", 0x4D684F62)

_ACCEPTED = "250 2.0.0 Accepted, on its way"
_REVOKED = "554 5.0.0 Canceled by an operator"

_IS_HELD = "state IN ('new', 'held')"


@frozen
class Due:
    """A recipient that is to be attempted; `attempts` were made before."""

    address: str
    attempts: int
    warned: bool


@frozen
class Batch:
    """The recipients of a message to be attempted together."""

    message: OutboundMessage
    due: tuple[Due, ...]


@frozen
class Report:
    """What the sender is to be told of a recipient; `action` as in RFC 3464 §2.3.3."""

    address: str
    action: str
    reply: str
    host: str


@frozen
class Ledger:
    """Each method is a transaction, durable when it returns.  Times are milliseconds."""

    connection: Connection

    def add(
        self, message: OutboundMessage, destinations: Mapping[str, str], held: bool, now: int
    ) -> None:
        """Accept a message, unless its id is there already."""
        with self.connection.transaction("IMMEDIATE"):
            self._add(message, destinations, "new" if held else "ready", now)

    def hold(self, message_id: str) -> bool:
        """Keep a message back; False unless it is ready and was handed to nobody yet."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute(
                "UPDATE message SET state = 'held'"
                " WHERE id = ? AND state = 'ready' AND NOT EXISTS"
                " (SELECT 1 FROM recipient WHERE message = message.id AND delivered != 'queued')",
                (message_id,),
            )
            state = self.connection.value("SELECT state FROM message WHERE id = ?", (message_id,))
            if state != "held":
                return False
            self.connection.execute(
                "UPDATE recipient SET due_at = NULL WHERE message = ?", (message_id,)
            )
        return True

    def release(self, message_id: str, now: int) -> None:
        """Let a message go that is held."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute(
                "UPDATE recipient SET due_at ="
                " (SELECT max(?, coalesce(send_at, 0)) FROM message WHERE id = recipient.message)"
                f" WHERE message = (SELECT id FROM message WHERE id = ? AND {_IS_HELD})",
                (now, message_id),
            )
            self.connection.execute(
                f"UPDATE message SET state = 'ready' WHERE id = ? AND {_IS_HELD}", (message_id,)
            )

    def cancel(self, message_id: str) -> None:
        """Forget a message that is held."""
        with self.connection.transaction("IMMEDIATE"):
            self._forget("id = ? AND state != 'ready'", message_id)

    def expedite(self, message_id: str, now: int) -> None:
        """Make a message due that waits for another attempt, but not before its `send_at`."""
        self.connection.execute(
            "UPDATE recipient SET due_at ="
            " (SELECT max(?, coalesce(send_at, 0)) FROM message WHERE id = recipient.message)"
            " WHERE message = ? AND due_at > ?",
            (now, message_id, now),
        )

    def reschedule(self, message_id: str, at: int) -> None:
        """Have those who wait for another attempt wait until `at`, but no less than `send_at`."""
        self.connection.execute(
            "UPDATE recipient SET due_at ="
            " (SELECT max(?, coalesce(send_at, 0)) FROM message WHERE id = recipient.message)"
            " WHERE message = ? AND due_at IS NOT NULL",
            (at, message_id),
        )

    def revoke(self, message_id: str) -> list[str]:
        """Keep a message from those recipients who wait for it; who they are.

        If one of them is being handed it at this moment and gets it, that is noted
        nevertheless.
        """
        with self.connection.transaction("IMMEDIATE"):
            delivered = self.connection.all(
                "SELECT address, delivered FROM recipient WHERE message = ? ORDER BY position",
                (message_id,),
            )
            waiting = [address for address, state in delivered if state == "queued"]
            if waiting:
                self.connection.execute(
                    "UPDATE recipient SET delivered = 'no', reply = ?, host = '', due_at = NULL,"
                    " report = NULL WHERE message = ? AND delivered = 'queued'",
                    (_REVOKED, message_id),
                )
                self.connection.execute(
                    "UPDATE message SET untold = untold + (account IS NOT NULL),"
                    " state = CASE WHEN ? THEN 'canceled' ELSE state END WHERE id = ?",
                    (len(waiting) == len(delivered), message_id),
                )
                self._forget_if_done(message_id)
        return waiting

    def bring_forward(self, until: int) -> None:
        """Have nothing wait longer than that but for its `send_at`."""
        self.connection.execute(
            "UPDATE recipient SET due_at = max(?, coalesce("
            " (SELECT send_at FROM message WHERE id = recipient.message), 0)) WHERE due_at > ?",
            (until, until),
        )

    def held(self) -> list[str]:
        """The messages that are held."""
        return self._ids(f"SELECT id FROM message WHERE {_IS_HELD}")

    def version(self) -> int:
        """Differs when another process has changed something."""
        version: int = self.connection.value("PRAGMA data_version")
        return version

    def untold(self) -> list[str]:
        """The messages whose EmailSubmission does not say the newest."""
        return self._ids("SELECT id FROM message WHERE untold")

    def unreported(self) -> list[str]:
        """The messages whose sender is to be told something."""
        return self._ids("SELECT DISTINCT message FROM recipient WHERE report IS NOT NULL")

    def due(self, now: int, busy: Iterable[str], limit: int) -> list[tuple[str, str]]:
        """Messages and destinations to be attempted, those first that wait longest.

        Without `busy` destinations.
        """
        return [
            (message, destination)
            for message, destination, _ in self.connection.all(
                "SELECT message, destination, min(due_at) AS first FROM recipient"
                " WHERE due_at <= ? AND destination NOT IN (SELECT value FROM json_each(?))"
                " GROUP BY message, destination ORDER BY first LIMIT ?",
                (now, msgspec.json.encode(list(busy)).decode(), limit),
            )
        ]

    def next_due(self, now: int) -> int | None:
        """When the next recipient is to be attempted that is not by now."""
        found: int | None = self.connection.value(
            "SELECT due_at FROM recipient WHERE due_at > ? ORDER BY due_at LIMIT 1", (now,)
        )
        return found

    def batch(self, message_id: str, destination: str, now: int) -> Batch | None:
        """What is to be attempted of a message at a destination; None if it is nothing."""
        due = tuple(
            Due(address, attempts, bool(warned))
            for address, attempts, warned in self.connection.all(
                "SELECT address, attempts, warned FROM recipient"
                " WHERE message = ? AND destination = ? AND due_at <= ? ORDER BY position",
                (message_id, destination, now),
            )
        )
        status = self.status(message_id) if due else None
        return None if status is None else Batch(status.message, due)

    def move(self, message_id: str, destinations: Mapping[str, str]) -> None:
        """Have recipients wait for other destinations."""
        with self.connection.transaction("IMMEDIATE"):
            for address, destination in destinations.items():
                self.connection.execute(
                    "UPDATE recipient SET destination = ? WHERE message = ? AND address = ?",
                    (destination, message_id, address),
                )

    def note(self, message_id: str, results: Sequence[Next]) -> bool:
        """Write down what became of recipients; is there something to be told?"""
        changed = False
        with self.connection.transaction("IMMEDIATE"):
            for result in results:
                key = (message_id, result.address)
                before = self.connection.row(
                    "SELECT delivered, reply FROM recipient WHERE message = ? AND address = ?", key
                )
                if before is None:
                    continue
                if before[0] != "queued" and result.delivered not in ("yes", "unknown"):
                    continue  # it was revoked meanwhile
                changed = changed or before != (result.delivered, result.reply)
                self.connection.execute(
                    "UPDATE recipient SET delivered = ?, reply = ?, host = ?, due_at = ?,"
                    " attempts = attempts + 1, report = coalesce(?, report),"
                    " warned = warned OR ? WHERE message = ? AND address = ?",
                    (
                        result.delivered,
                        result.reply,
                        result.host,
                        result.due_at,
                        result.report,
                        result.report == "delayed",
                        *key,
                    ),
                )
            if changed:
                self.connection.execute(
                    "UPDATE message SET untold = untold + 1 WHERE id = ? AND account IS NOT NULL",
                    (message_id,),
                )
            self._forget_if_done(message_id)
        return changed

    def news(self, message_id: str) -> tuple[OutboundStatus, int] | None:
        """What its EmailSubmission is to be told, if anything; and the count for `told`."""
        sql = "SELECT untold FROM message WHERE id = ?"
        count, status = self.connection.value(sql, (message_id,)), self.status(message_id)
        return None if status is None or not count else (status, count)

    def told(self, message_id: str, count: int) -> None:
        """The EmailSubmission says what was the newest at that count."""
        with self.connection.transaction("IMMEDIATE"):
            self.connection.execute(
                "UPDATE message SET untold = 0 WHERE id = ? AND untold = ?", (message_id, count)
            )
            self._forget_if_done(message_id)

    def reports(self, message_id: str) -> list[Report]:
        """What the sender is to be told."""
        return [
            Report(*columns)
            for columns in self.connection.all(
                "SELECT address, report, reply, host FROM recipient"
                " WHERE message = ? AND report IS NOT NULL ORDER BY position",
                (message_id,),
            )
        ]

    def reported(
        self,
        message_id: str,
        reports: Sequence[Report],
        notification: OutboundMessage,
        destinations: Mapping[str, str],
        now: int,
    ) -> None:
        """The sender is told these by a message, which is accepted at the same time."""
        with self.connection.transaction("IMMEDIATE"):
            self._add(notification, destinations, "ready", now)
            for report in reports:
                self.connection.execute(
                    "UPDATE recipient SET report = NULL"
                    " WHERE message = ? AND address = ? AND report = ?",
                    (message_id, report.address, report.action),
                )
            self._forget_if_done(message_id)

    def status(self, message_id: str) -> OutboundStatus | None:
        """How far a message has come; None if there is none of that id."""
        row = self.connection.row(
            "SELECT account, mail_from, parameters, blob, submitted_at, send_at, state"
            " FROM message WHERE id = ?",
            (message_id,),
        )
        if row is None:
            return None
        account, mail_from, parameters, blob, submitted_at, send_at, state = row
        rows = self.connection.all(
            "SELECT address, delivered, reply, parameters FROM recipient WHERE message = ?"
            " ORDER BY position",
            (message_id,),
        )
        envelope = Envelope(
            mail_from,
            tuple(address for address, *_ in rows),
            msgspec.json.decode(parameters),
            {address: msgspec.json.decode(given) for address, *_, given in rows if given != "{}"},
        )
        message = OutboundMessage(message_id, envelope, blob, submitted_at, account, send_at)
        recipients = tuple(RecipientStatus(*columns[:3]) for columns in rows)
        return OutboundStatus(
            message,
            recipients,
            is_new=state == "new",
            is_canceled=state == "canceled" and all(r.delivered == "no" for r in recipients),
        )

    def blob_ids(self, after: str, until: str, limit: int) -> Sequence[str]:
        """As `IOutbox.blob_ids`."""
        return self._ids(
            "SELECT DISTINCT blob FROM message WHERE blob > ? AND blob <= ? ORDER BY blob LIMIT ?",
            after,
            until,
            limit,
        )

    def _add(
        self, message: OutboundMessage, destinations: Mapping[str, str], state: str, now: int
    ) -> None:
        if self.connection.row("SELECT 1 FROM message WHERE id = ?", (message.id,)):
            return
        envelope = message.envelope
        self.connection.execute(
            "INSERT INTO message (id, account, mail_from, parameters, blob, submitted_at,"
            " send_at, state, untold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                message.id,
                message.account_id,
                envelope.mail_from,
                _json(envelope.parameters),
                message.blob_id,
                message.submitted_at,
                message.send_at,
                state,
            ),
        )
        due_at = max(now, message.send_at or 0) if state == "ready" else None
        for position, address in enumerate(dict.fromkeys(envelope.recipients)):
            self.connection.execute(
                "INSERT INTO recipient (message, position, address, delivered, reply,"
                " parameters, destination, due_at) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?)",
                (
                    message.id,
                    position,
                    address,
                    _ACCEPTED,
                    _json(envelope.recipient_parameters.get(address, {})),
                    destinations.get(address, ""),
                    due_at,
                ),
            )

    def _forget_if_done(self, message_id: str) -> None:
        self._forget(
            "id = ? AND NOT untold AND NOT EXISTS (SELECT 1 FROM recipient"
            " WHERE message = message.id AND (delivered = 'queued' OR report IS NOT NULL))",
            message_id,
        )

    def _forget(self, which: str, message_id: str) -> None:
        if self.connection.row(f"SELECT 1 FROM message WHERE {which}", (message_id,)):
            self.connection.execute("DELETE FROM message WHERE id = ?", (message_id,))
            self.connection.execute("DELETE FROM recipient WHERE message = ?", (message_id,))

    def _ids(self, sql: str, *parameters: Any) -> list[str]:
        return [value for (value,) in self.connection.all(sql, parameters)]


def open_ledger(connection: Connection) -> Ledger:
    """The ledger in the file of a connection; `SchemaError` when a newer mailhive wrote it."""
    SCHEMA.apply(connection)
    return Ledger(connection)


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(value)).decode()

"""The table of push subscriptions.  Plain functions on a connection; they block.

What a subscriber has still to be told is nowhere written down: it is the
difference between its `position` and the accounts as they are.  So nothing is lost
that was committed before a crash, and nothing but the latest states is kept.
"""

from typing import Any

import msgspec
from attrs import frozen

from mailhive.model.webpush import PushKeys, PushSubscription
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema

__all__ = ["FILE", "SCHEMA", "Entry", "Ledger", "open_ledger"]

#: In the data directory.
FILE = "push.sqlite"

SCHEMA = packaged_schema("mailhive.push", "subscriptions", 0x4D685073)

_COLUMNS = (
    "id, device, url, p256dh, auth, code, state, expires, types, owner, credential, signer,"
    " position, due_at, interval, failures, succeeded_at, outcome"
)


@frozen
class Entry:
    """A subscription, and what its deliveries need; times are milliseconds."""

    subscription: PushSubscription
    owner: str
    credential: str
    signer: str
    position: str
    is_new: bool = True  # nobody has accepted its verification code so far
    due_at: int = 0
    interval: int = 0
    failures: int = 0
    succeeded_at: int | None = None
    outcome: str | None = None

    @property
    def state(self) -> str:
        """new, sent or verified."""
        return "verified" if self.subscription.is_verified else "new" if self.is_new else "sent"


@frozen
class Ledger:
    """Each method is a statement or two; what they change is durable once committed."""

    connection: Connection

    def ids(self) -> list[str]:
        """Every subscription."""
        return [i for (i,) in self.connection.all("SELECT id FROM subscription")]

    def entry(self, subscription_id: str) -> Entry | None:
        """One of them, unless it is gone."""
        sql = f"SELECT {_COLUMNS} FROM subscription WHERE id = ?"
        row = self.connection.row(sql, (subscription_id,))
        return None if row is None else _entry(row)

    def entries(self) -> list[Entry]:
        """All of them, by owner."""
        sql = f"SELECT {_COLUMNS} FROM subscription ORDER BY owner, device, id"
        return [_entry(row) for row in self.connection.all(sql)]

    def subscriptions(self, owner: str, credential: str, now: int) -> list[PushSubscription]:
        """What somebody made with a credential and has not expired."""
        sql = (
            f"SELECT {_COLUMNS} FROM subscription"
            " WHERE owner = ? AND credential = ? AND expires > ? ORDER BY id"
        )
        rows = self.connection.all(sql, (owner, credential, now))
        return [_entry(row).subscription for row in rows]

    def count(self, owner: str) -> int:
        """How many somebody has, made with whatever credential."""
        sql = "SELECT count(*) FROM subscription WHERE owner = ?"
        return int(self.connection.value(sql, (owner,)))

    def add(self, entry: Entry) -> None:
        """Write down a new one."""
        made = entry.subscription
        keys = (made.keys.p256dh, made.keys.auth) if made.keys else (None, None)
        self.connection.execute(
            f"INSERT INTO subscription ({_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, 'new', ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL, NULL)",
            (
                *(made.id, made.device, made.url, *keys, made.code, made.expires),
                *(_types(made), entry.owner, entry.credential, entry.signer),
                *(entry.position, entry.due_at, entry.interval),
            ),
        )

    def change(self, changed: PushSubscription) -> None:
        """Write down what its owner changed; once verified, it need not wait any longer."""
        self.connection.execute(
            "UPDATE subscription SET expires = ?, types = ? WHERE id = ?",
            (changed.expires, _types(changed), changed.id),
        )
        if changed.is_verified:
            self.connection.execute(
                "UPDATE subscription SET state = 'verified', due_at = 0, failures = 0"
                " WHERE id = ? AND state != 'verified'",
                (changed.id,),
            )

    def succeeded(
        self, subscription_id: str, position: str, interval: int, now: int, outcome: str
    ) -> None:
        """Somebody took what was sent, up to that push state."""
        self.connection.execute(
            "UPDATE subscription SET state = iif(state = 'new', 'sent', state), position = ?,"
            " interval = ?, due_at = ?, failures = 0, succeeded_at = ?, outcome = ? WHERE id = ?",
            (position, interval, now + interval, now, outcome, subscription_id),
        )

    def failed(self, subscription_id: str, due_at: int, interval: int, outcome: str) -> None:
        """Nobody took it; it is to be tried again."""
        self.connection.execute(
            "UPDATE subscription SET due_at = ?, interval = ?, failures = failures + 1,"
            " outcome = ? WHERE id = ?",
            (due_at, interval, outcome, subscription_id),
        )

    def remove(self, subscription_id: str) -> None:
        """Remove one; `erase` is to follow."""
        self.connection.execute("DELETE FROM subscription WHERE id = ?", (subscription_id,))

    def remove_others(self, signer: str) -> int:
        """Remove those that another key signs for; how many there were (RFC 9749 §5)."""
        self.connection.execute("DELETE FROM subscription WHERE signer != ?", (signer,))
        removed = int(self.connection.value("SELECT changes()"))
        self.erase()
        return removed

    def destroy(self, entry: Entry) -> bool:
        """Erase one; False if it is no longer what it was, or no longer there."""
        made = entry.subscription
        self.connection.execute(
            "DELETE FROM subscription WHERE id = ? AND state = ? AND expires = ? AND failures = ?",
            (made.id, entry.state, made.expires, entry.failures),
        )
        removed = bool(self.connection.value("SELECT changes()"))
        self.erase()
        return removed

    def erase(self) -> None:
        """Leave nothing in the file of what was removed (RFC 8620 §7.2).

        SQLite overwrites what is deleted, but pages of before are in the log.
        """
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_ledger(connection: Connection) -> Ledger:
    """The ledger of a file, which becomes one if it is empty; `SchemaError`."""
    SCHEMA.apply(connection)
    connection.execute("PRAGMA secure_delete = ON")
    return Ledger(connection)


def _types(subscription: PushSubscription) -> str | None:
    types = subscription.types
    return None if types is None else msgspec.json.encode(types).decode()


def _entry(row: tuple[Any, ...]) -> Entry:
    (subscription_id, device, url, p256dh, auth, code, state, expires, types, *rest) = row
    owner, credential, signer, position, *delivery = rest
    subscription = PushSubscription(
        id=subscription_id,
        device=device,
        url=url,
        keys=None if p256dh is None else PushKeys(p256dh, auth),
        code=code,
        is_verified=state == "verified",
        expires=expires,
        types=None if types is None else tuple(msgspec.json.decode(types)),
    )
    return Entry(subscription, owner, credential, signer, position, state == "new", *delivery)

"""The file of who has come: its rows, and what they mean."""

from hashlib import blake2b

from attrs import define

from mailhive.config.greylist import GreylistSettings
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema

__all__ = ["Ledger"]

SCHEMA = packaged_schema("mailhive.smtp.greylist", "greylist", 0x4D684772)

#: Rows of a table; those go first that would be forgotten first.
_MOST = 1_000_000
#: Rows that are taken out at a time.
_STEP = 1_000


@define(eq=False)
class Ledger:
    """Used by one thread at a time.  Times are in seconds since 1970."""

    connection: Connection
    settings: GreylistSettings
    most: int = _MOST

    @classmethod
    def open(cls, connection: Connection, settings: GreylistSettings) -> "Ledger":
        """The ledger in that file, made if it is empty."""
        # What a power cut takes is told to come back once more.
        connection.execute("PRAGMA synchronous = NORMAL")
        SCHEMA.apply(connection)
        return cls(connection, settings)

    def lets_in(self, network: str, sender: str, recipient: str, now: int) -> bool:
        """May mail come from there?  Notes that somebody has tried."""
        origin, triplet = _digest(network), _digest(network, sender, recipient)
        with self.connection.transaction("IMMEDIATE"):
            if self._is_trusted(origin, now):
                return True
            row = self.connection.row(
                "SELECT first_at, known_at FROM triplet WHERE digest = ? AND expires_at > ?",
                (triplet, now),
            )
            if row is None:
                self._meet(triplet, now)
                return False
            first_at, known_at = row
            if known_at is None and now < first_at + self.settings.delay:
                return False
            self.connection.execute(
                "UPDATE triplet SET known_at = ?, expires_at = ? WHERE digest = ?",
                (now, self._known_until(now), triplet),
            )
            if known_at is None:
                self._credit(origin, now)
            return True

    def clean(self, now: int) -> bool:
        """Take out some of what has expired; is there more?"""
        with self.connection.transaction("IMMEDIATE"):
            more = self._clean("triplet", now)
            return self._clean("network", now) or more

    def _clean(self, table: str, now: int) -> bool:
        count: int = self.connection.value(f"SELECT count(*) FROM {table}")  # noqa: S608
        expired = self.connection.value(
            f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE expires_at <= ? LIMIT ?)",  # noqa: S608
            (now, _STEP),
        )
        surplus = min(max(expired, count - self.most), _STEP)
        self.connection.execute(
            f"DELETE FROM {table} WHERE digest IN"  # noqa: S608
            f" (SELECT digest FROM {table} ORDER BY expires_at LIMIT ?)",
            (surplus,),
        )
        return bool(surplus == _STEP)

    def _is_trusted(self, origin: bytes, now: int) -> bool:
        after = self.settings.trust_after
        if not after:
            return False
        let_in = self.connection.value(
            "SELECT let_in FROM network WHERE digest = ? AND expires_at > ?", (origin, now)
        )
        if let_in is None or let_in < after:
            return False
        self.connection.execute(
            "UPDATE network SET expires_at = ? WHERE digest = ?", (self._known_until(now), origin)
        )
        return True

    def _meet(self, triplet: bytes, now: int) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO triplet (digest, first_at, known_at, expires_at)"
            " VALUES (?, ?, NULL, ?)",
            (triplet, now, now + int(self.settings.retry_within)),
        )

    def _credit(self, origin: bytes, now: int) -> None:
        self.connection.execute(
            "DELETE FROM network WHERE digest = ? AND expires_at <= ?", (origin, now)
        )
        self.connection.execute(
            "INSERT INTO network (digest, let_in, expires_at) VALUES (?, 1, ?)"
            " ON CONFLICT (digest) DO UPDATE SET let_in = let_in + 1,"
            " expires_at = excluded.expires_at",
            (origin, self._known_until(now)),
        )

    def _known_until(self, now: int) -> int:
        return now + int(self.settings.life)


def _digest(*parts: str) -> bytes:
    """What stands for these in the file, which then tells nobody who wrote to whom."""
    digest = blake2b(digest_size=16)
    for part in parts:
        octets = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d " % len(octets) + octets)
    return digest.digest()

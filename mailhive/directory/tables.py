"""The file of an internal directory, read: a few probes of an index for each question."""

from collections.abc import Sequence

from attrs import frozen

from mailhive.directory.resolve import Entry
from mailhive.directory.schemes import credential_of
from mailhive.model.addresses import canonical_name
from mailhive.model.principal import Principal
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import packaged_schema

__all__ = ["SCHEMA", "Tables", "Unbounded", "credential_name"]

SCHEMA = packaged_schema("mailhive.directory", "internal", 0x4D684472)

_ENTRY = (
    "SELECT name, type, description, quota, members_may, mailboxes, enabled, secret,"
    " credential, scram"
    " FROM principal WHERE key = ?"
)


def credential_name(kind: str, number: int) -> str:
    """The name of an app password or token, as `Principal.credential` has it."""
    return f"{kind}:{number}"


class Unbounded(Exception):
    """The answer may take long; it is for a thread."""


@frozen
class Tables:
    """`resolve.Holdings` on a connection, in the transaction that is open there.

    When `bounded`, raises `Unbounded` for whatever grows with the directory.
    """

    connection: Connection
    bounded: bool = False

    def entry(self, name: str) -> Entry | None:
        if not _is_text(name):
            return None
        row = self.connection.row(_ENTRY, (name,))
        if row is None:
            return None
        own_name, kind, description, quota, members_may, mailboxes, enabled, *rest = row
        secret, named, scram = rest
        password = "" if secret is None else named or credential_of(secret)
        addresses = "SELECT address FROM address WHERE principal = ? ORDER BY position"
        groups = (
            "SELECT name FROM membership JOIN principal ON key = belongs_to"
            " WHERE member = ? ORDER BY position"
        )
        principal = Principal(
            name=own_name,
            type=kind,
            description=description,
            emails=self._column(addresses, name),
            member_of=self._column(groups, name),
            quota=quota,
            members_may=members_may,
            mailboxes=mailboxes,
            enabled=bool(enabled),
            credentials=self._credentials(name, password) if enabled else frozenset(),
        )
        return Entry(principal, secret, password, scram)

    def _credentials(self, name: str, password: str) -> frozenset[str]:
        """The names of all that lets somebody in, with that of their password if there is one."""
        sql = (
            "SELECT kind, number FROM credential"
            " WHERE principal = ? AND (expires IS NULL OR expires > unixepoch())"
        )
        names = [credential_name(*row) for row in self.connection.all(sql, (name,))]
        return frozenset([password, *names] if password else names)

    def owner(self, address: str) -> str | None:
        if not _is_text(address):
            return None
        sql = "SELECT principal FROM address WHERE canonical = ?"
        found: str | None = self.connection.value(sql, (address,))
        return found

    def reached(self, address: str) -> Sequence[str]:
        owner = self.owner(address)
        return () if owner is None else (owner,)

    def members(self, name: str) -> Sequence[str]:
        if self.bounded:
            raise Unbounded
        return self._column("SELECT member FROM membership WHERE belongs_to = ?", name)

    def has_domain(self, domain: str) -> bool:
        sql = "SELECT 1 FROM address WHERE domain = ?"
        return _is_text(domain) and self.connection.value(sql, (domain,)) is not None

    def decoy(self, login: str) -> str | None:
        """Somebody's secret, always the same for one login that does not exist."""
        sql = "SELECT secret FROM principal WHERE secret IS NOT NULL"
        key = canonical_name(login) if _is_text(login) else ""
        found: str | None = self.connection.value(
            f"{sql} AND key >= ? ORDER BY key", (key,)
        ) or self.connection.value(f"{sql} ORDER BY key")
        return found

    def names(self) -> Sequence[str]:
        """Every principal's, in order."""
        return self._column("SELECT key FROM principal ORDER BY key")

    def removals(self) -> Sequence[str]:
        """Names of removed principals whose mail is to be deleted."""
        return self._column("SELECT name FROM removal")

    def _column(self, sql: str, *parameters: str) -> tuple[str, ...]:
        return tuple(value for (value,) in self.connection.all(sql, parameters))


def _is_text(value: str) -> bool:
    """Can it be stored?  What clients send may have lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Changing an internal directory, from a process of its own or in tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from zope.interface import implementer

from mailhive.directory.resolve import Entry
from mailhive.directory.rules import canonical_email, name_problem, no_address
from mailhive.directory.schemes import (
    hashed,
    is_plain_text,
    password_problem,
    scheme_of,
    secret_problem,
)
from mailhive.directory.tables import SCHEMA, Tables
from mailhive.errors import MailhiveError, NotFound, TemporaryFailure
from mailhive.interfaces.directory import IDirectoryEditor
from mailhive.model.addresses import canonical_name, split
from mailhive.model.principal import Principal
from mailhive.sqlite.connection import Connection, is_storage_failure

__all__ = ["Editor", "Refused"]

_INSERT = (
    "INSERT INTO principal (key, name, type, description, quota, members_may, mailboxes, secret)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE principal SET description = ?, quota = ?, members_may = ?, mailboxes = ? WHERE key = ?"
)


class Refused(MailhiveError):
    """The directory cannot become what was asked for; the message says why."""


@implementer(IDirectoryEditor)
class Editor:
    """`IDirectoryEditor` on the file at `path`, which is made if there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._told():
            self._connection = Connection(path)
            try:
                SCHEMA.apply(self._connection)
                self._connection.execute("PRAGMA foreign_keys = ON")
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        self._connection.close()

    # Reading

    def principals(self) -> tuple[Principal, ...]:
        with self._transaction("DEFERRED") as tables:
            return tuple(_entry(tables, name).principal for name in tables.names())

    def principal(self, name: str) -> Principal:
        with self._transaction("DEFERRED") as tables:
            return _entry(tables, name).principal

    def scheme(self, name: str) -> str | None:
        with self._transaction("DEFERRED") as tables:
            secret = _entry(tables, name).secret
        return None if secret is None else scheme_of(secret)

    def members(self, name: str) -> tuple[str, ...]:
        with self._transaction("DEFERRED") as tables:
            _entry(tables, name)
            keys = tables.members(canonical_name(name))
            return tuple(sorted(_entry(tables, key).principal.name for key in keys))

    # Changing

    def add(self, principal: Principal, secret: str | None = None) -> None:
        if problem := name_problem(principal.name):
            raise Refused(problem)
        if secret is not None and principal.type != "individual":
            raise Refused(f"a {principal.type} has no password; only individuals log in")
        _check_sharing(principal)
        key = canonical_name(principal.name)
        with self._transaction() as tables:
            if entry := tables.entry(key):
                raise Refused(f'there is "{entry.principal.name}" already')
            if owner := tables.owner(canonical_email(principal.name) or ""):
                raise Refused(f'"{principal.name}" is an address of "{_name(tables, owner)}"')
            sql = "SELECT name FROM removal WHERE key = ?"
            if former := tables.connection.value(sql, (key,)):
                raise Refused(
                    f'the mail of the former "{former}" is still to be deleted;'
                    " the daemon does that within seconds when it runs"
                )
            fields = (principal.quota, principal.members_may, principal.mailboxes, secret)
            values = (key, principal.name, principal.type, principal.description, *fields)
            tables.connection.execute(_INSERT, values)
            _put_addresses(tables, key, principal.emails)
            _put_memberships(tables, key, principal.member_of)

    def change(self, name: str, **values: Any) -> Principal:
        key = canonical_name(name)
        with self._transaction() as tables:
            old = _entry(tables, name).principal
            new = evolve(old, **values)
            assert (new.name, new.type) == (old.name, old.type)
            _check_sharing(new)
            fields = (new.description, new.quota, new.members_may, new.mailboxes)
            tables.connection.execute(_UPDATE, (*fields, key))
            if new.emails != old.emails:
                _put_addresses(tables, key, new.emails)
            if new.member_of != old.member_of:
                _put_memberships(tables, key, new.member_of)
            return _entry(tables, name).principal

    def set_secret(self, name: str, secret: str | None) -> None:
        with self._transaction() as tables:
            principal = _entry(tables, name).principal
            if principal.type != "individual":
                raise Refused(f'"{principal.name}" is a {principal.type}; only individuals log in')
            sql = "UPDATE principal SET secret = ? WHERE key = ?"
            tables.connection.execute(sql, (secret, canonical_name(name)))

    def remove(self, name: str, *, delete_mail: bool = False) -> Principal:
        key = canonical_name(name)
        with self._transaction() as tables:
            principal = _entry(tables, name).principal
            tables.connection.execute("DELETE FROM principal WHERE key = ?", (key,))
            if delete_mail:
                sql = "INSERT INTO removal (key, name) VALUES (?, ?)"
                tables.connection.execute(sql, (key, principal.name))
        return principal

    def hash_password(self, password: str) -> str:
        if problem := password_problem(password):
            raise Refused(problem)
        return hashed(password)

    def checked_hash(self, secret: str) -> str:
        if is_plain_text(secret):
            raise Refused("that is no hash; without --hashed it is taken as the password")
        if problem := secret_problem(secret):
            raise Refused(f"the hash {problem}")
        return secret

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[Tables]:
        with self._told(), self._connection.transaction(kind):
            yield Tables(self._connection)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One message for whatever is wrong with the file."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, OSError) and not is_storage_failure(error):
                raise
            raise TemporaryFailure(f"cannot use {self._path}: {error}") from error


def _check_sharing(principal: Principal) -> None:
    if principal.members_may != "write" and principal.type != "group":
        raise Refused(f'"{principal.name}" is no group, and its account is not shared')


def _entry(tables: Tables, name: str) -> Entry:
    entry = tables.entry(canonical_name(name))
    if entry is None:
        raise NotFound(f'there is no "{name}"')
    return entry


def _name(tables: Tables, key: str) -> str:
    return _entry(tables, key).principal.name


def _put_addresses(tables: Tables, key: str, addresses: Sequence[str]) -> None:
    """Replace the addresses of a principal."""
    tables.connection.execute("DELETE FROM address WHERE principal = ?", (key,))
    for position, address in enumerate(addresses):
        canonical = canonical_email(address)
        if canonical is None:
            raise Refused(no_address(address))
        if owner := tables.owner(canonical):
            raise Refused(f'"{address}" is an address of "{_name(tables, owner)}" already')
        named = tables.entry(canonical)
        if named is not None and canonical != key:
            raise Refused(f'"{address}" is the name of another principal')
        sql = "INSERT INTO address VALUES (?, ?, ?, ?, ?)"
        values = (key, position, address, canonical, split(canonical)[1])
        tables.connection.execute(sql, values)


def _put_memberships(tables: Tables, key: str, names: Sequence[str]) -> None:
    """Replace the groups and lists that a principal belongs to."""
    tables.connection.execute("DELETE FROM membership WHERE member = ?", (key,))
    for position, group in enumerate(dict.fromkeys(map(canonical_name, names))):
        found = tables.entry(group)
        if found is None:
            raise Refused(f'there is no group or list "{group}"')
        if found.principal.type == "individual":
            raise Refused(f'"{found.principal.name}" is an individual, no group or list')
        sql = "INSERT INTO membership VALUES (?, ?, ?)"
        tables.connection.execute(sql, (key, position, group))

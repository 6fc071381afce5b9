"""What may become of an internal directory: its rules, in the transaction that is open."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from mailhive.directory.resolve import Entry
from mailhive.directory.rules import canonical_email, name_problem, no_address
from mailhive.directory.tables import Tables
from mailhive.errors import MailhiveError, NotFound
from mailhive.model.addresses import canonical_name, split
from mailhive.model.principal import Principal

__all__ = ["Refused", "add_principal", "change_principal", "entry_of", "split_secret"]

_INSERT = (
    "INSERT INTO principal"
    " (key, name, type, description, quota, members_may, mailboxes, enabled, secret, scram)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE principal SET description = ?, quota = ?, members_may = ?, mailboxes = ?, enabled = ?"
    " WHERE key = ?"
)


class Refused(MailhiveError):
    """The directory cannot become what was asked for; the message says why."""


def add_principal(tables: Tables, principal: Principal, secret: str | None) -> None:
    """Add a principal with the hash of a password, or without one."""
    if problem := name_problem(principal.name):
        raise Refused(problem)
    if secret is not None and principal.type != "individual":
        raise Refused(f"a {principal.type} has no password; only individuals log in")
    _check(principal)
    key = canonical_name(principal.name)
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
    values = (key, principal.name, principal.type, *_changeable(principal), *split_secret(secret))
    tables.connection.execute(_INSERT, values)
    _put_addresses(tables, key, principal.emails)
    _put_memberships(tables, key, principal.member_of)


def split_secret(secret: str | None) -> tuple[str | None, str | None]:
    """The hash of a password, and what may stand on a second line: what SCRAM needs."""
    if secret is None:
        return None, None
    hashed, _, scram = secret.partition("\n")
    return hashed, scram or None


def change_principal(tables: Tables, name: str, **values: Any) -> Principal:
    """Replace attributes other than name and type; the principal as it is then."""
    old = entry_of(tables, name).principal
    new = evolve(
        old, **{key: value(old) if callable(value) else value for key, value in values.items()}
    )
    assert (new.name, new.type) == (old.name, old.type)
    _check(new)
    key = canonical_name(name)
    tables.connection.execute(_UPDATE, (*_changeable(new), key))
    if new.emails != old.emails:
        _put_addresses(tables, key, new.emails)
    if new.member_of != old.member_of:
        _put_memberships(tables, key, new.member_of)
    return entry_of(tables, name).principal


def entry_of(tables: Tables, name: str) -> Entry:
    """The principal of that name; `NotFound`."""
    entry = tables.entry(canonical_name(name))
    if entry is None:
        raise NotFound(f'there is no "{name}"')
    return entry


def _changeable(principal: Principal) -> tuple[Any, ...]:
    return (
        principal.description,
        principal.quota,
        principal.members_may,
        principal.mailboxes,
        principal.enabled,
    )


def _check(principal: Principal) -> None:
    if principal.members_may != "write" and principal.type != "group":
        raise Refused(f'"{principal.name}" is no group, and its account is not shared')
    if not principal.enabled and principal.type != "individual":
        raise Refused(f'"{principal.name}" is a {principal.type}; only individuals log in')


def _name(tables: Tables, key: str) -> str:
    return entry_of(tables, key).principal.name


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

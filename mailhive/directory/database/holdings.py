"""What the database of somebody else says, made sense of."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import idna
from attrs import evolve

from mailhive.directory.database.pool import IDatabase, QueryFailed, Row
from mailhive.directory.database.settings import SqlSettings
from mailhive.directory.resolve import Entry
from mailhive.directory.rules import canonical_email
from mailhive.directory.schemes import credential_of
from mailhive.model.addresses import canonical_name, is_domain, split
from mailhive.model.principal import Principal

__all__ = ["SqlHoldings"]

_LONGEST = 1_000  # characters of a name or address that the database is asked for
_LONGEST_NAME = 255
_LONGEST_TEXT = 10_000  # characters of a value
_FALSE = ("0", "false", "f", "no", "n", "\0")  # the last is a BIT of MySQL
_KINDS = ("individual", "group", "list")


class SqlHoldings:
    """`resolve.Holdings` on a connection; `QueryFailed` tells what is wrong with an answer.

    Collations may find `chloé` for `chloe`.  As names are keys of accounts, a row
    whose name is not the one asked for counts as none.  `queries` are those of the
    configuration as the driver wants them.
    """

    def __init__(self, settings: SqlSettings, queries: dict[str, str], database: IDatabase) -> None:
        self._settings = settings
        self._queries = queries
        self._database = database

    def entry(self, name: str) -> Entry | None:
        rows = self._principal(name)
        if not rows:
            return None
        principal, row = self._described(rows), rows[0]
        secret = self._secret(name, row)
        if "emails" in self._queries:
            principal = evolve(principal, emails=_addresses(self._texts("emails", name=name)))
        if "quota" in self._queries:
            value = next(iter(self._texts("quota", name=name)), None)
            principal = evolve(principal, quota=_quota(value))
        principal = evolve(
            principal,
            member_of=tuple(self._texts("member_of", name=name)),
            credentials=frozenset(map(credential_of, [secret] if secret else [])),
        )
        return Entry(principal, secret)

    def _described(self, rows: list[Row]) -> Principal:
        """A principal by its own rows, one for each of its addresses."""
        columns, row = self._settings.columns, rows[0]
        emails = [e for each in rows if (e := _text(each, columns.email)) is not None]
        return Principal(
            name=_text(row, columns.name) or "",
            type=_one_of(row, columns.type, _KINDS),
            description=_text(row, columns.description) or "",
            emails=_addresses(emails),
            quota=_quota(_text(row, columns.quota)),
            members_may=_one_of(row, columns.members_may, ("write", "read")),
            mailboxes=_one_of(row, columns.mailboxes, ("default", "inbox")),
            enabled=self._enabled(row),
        )

    def credentials(self, name: str) -> tuple[str, str] | None:
        """The name and stored secret of an individual, None for one who cannot log in."""
        row = next(iter(self._principal(name)), {})
        secret = self._secret(name, row)
        if secret is None or not row or not self._enabled(row):
            return None
        kind = _one_of(row, self._settings.columns.type, _KINDS)
        return (name, secret) if kind == "individual" else None

    def owner(self, address: str) -> str | None:
        reached = self.reached(address)
        return reached[0] if len(reached) == 1 else None

    def reached(self, address: str) -> Sequence[str]:
        local, domain = split(address)
        if not is_domain(domain) or not (local or self._settings.options.catch_all):
            return ()
        for form in _forms(domain):
            values = {"address": f"{local}@{form}", "local": local, "domain": form}
            if found := self._texts("recipients", **values):
                return list(dict.fromkeys(map(canonical_name, found)))
        return ()

    def members(self, name: str) -> Sequence[str | Entry]:
        if "list_members" not in self._queries:
            return list(map(canonical_name, self._texts("expand", name=name)))
        column = self._settings.columns.name
        members: dict[str, list[Row]] = {}
        for row in self._ask("list_members", name=name):
            if column.lower() not in row:
                raise QueryFailed(f'query list-members: there is no column "{column}"')
            own_name = _text(row, column) or ""
            if _is_name(own_name):
                members.setdefault(canonical_name(own_name), []).append(row)
        return [Entry(self._described(rows)) for rows in members.values()]

    def has_domain(self, domain: str) -> bool:
        forms = _forms(domain) if is_domain(domain) else ()
        return any(self._ask("domains", domain=form) for form in forms)

    def _principal(self, name: str) -> list[Row]:
        """The rows of the principal of that name: several if it has several addresses."""
        column = self._settings.columns.name
        rows = self._ask("name", name=name)
        if rows and column.lower() not in rows[0]:
            raise QueryFailed(f'query name: there is no column "{column}"')
        found = [row for row in rows if canonical_name(_text(row, column) or "") == name]
        return found if found and _is_name(_text(found[0], column) or "") else []

    def _secret(self, name: str, row: Row) -> str | None:
        if "secret" not in self._queries:
            return _text(row, self._settings.columns.secret)
        return next(iter(self._texts("secret", name=name)), None)

    def _enabled(self, row: Row) -> bool:
        value = _text(row, self._settings.columns.enabled)
        return value is None or value.lower() not in _FALSE

    def _texts(self, query: str, **values: str) -> list[str]:
        """The first column of an answer, without NULL; none for a query that is not there."""
        rows = self._ask(query, **values) if query in self._queries else []
        return [text for row in rows if (text := _value(next(iter(row.values())))) is not None]

    def _ask(self, query: str, **values: str) -> list[Row]:
        if not all(map(_can_be_asked, values.values())):
            return []
        try:
            return self._database.query(self._queries[query], values)
        except QueryFailed as error:
            raise type(error)(f"query {query.replace('_', '-')}: {error}") from error


def _addresses(emails: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e for e in emails if canonical_email(e) is not None))


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _quota(value: str | None) -> int | None:
    try:
        quota = int(value or 0)
    except ValueError:
        quota = -1
    if quota < 0:
        raise QueryFailed("the quota is no number of octets")
    return quota or None


def _can_be_asked(value: str) -> bool:
    """Can it be in a database?  What clients send may have lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return len(value) <= _LONGEST and "\0" not in value


def _forms(domain: str) -> Iterator[str]:
    """A domain in A-labels, and then in U-labels if that differs."""
    yield domain
    if "xn--" in domain:
        try:
            yield idna.decode(domain)
        except UnicodeError:  # idna.IDNAError is one
            return


def _text(row: Row, column: str) -> str | None:
    return _value(row.get(column.lower()))


def _value(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise QueryFailed("a value is not UTF-8") from None
    text = str(value)
    if len(text) > _LONGEST_TEXT:
        raise QueryFailed("a value is too long")
    return text


def _one_of(row: Row, column: str, allowed: tuple[str, ...]) -> str:
    """The value of a column, by default the first that is allowed."""
    value = _text(row, column) or allowed[0]
    if value not in allowed:
        raise QueryFailed(f'column "{column}" is none of {", ".join(allowed)}')
    return value

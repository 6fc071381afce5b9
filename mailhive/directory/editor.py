"""Changing an internal directory, from a process of its own or in tests."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zope.interface import implementer

from mailhive.directory.changes import (
    Refused,
    add_principal,
    change_principal,
    entry_of,
    split_secret,
)
from mailhive.directory.credentials import credentials_of, digest_of, new_password
from mailhive.directory.schemes import (
    hashed,
    is_plain_text,
    password_problem,
    scheme_of,
    secret_problem,
)
from mailhive.directory.scram import is_possible, new_scram
from mailhive.directory.tables import SCHEMA, Tables
from mailhive.errors import NotFound, TemporaryFailure
from mailhive.interfaces.directory import IDirectoryEditor
from mailhive.model.addresses import canonical_name
from mailhive.model.credential import APP_PASSWORD, TOKEN, AppCredential
from mailhive.model.principal import Principal
from mailhive.sqlite.connection import Connection, is_storage_failure

__all__ = ["Editor", "Refused"]

_WORDS = {APP_PASSWORD: "app password", TOKEN: "token"}
_LONGEST_LABEL = 100  # characters
_MOST_CREDENTIALS = 100  # of a kind, of one principal


@implementer(IDirectoryEditor)
class Editor:
    """`IDirectoryEditor` on the file at `path`, which is made if there is none.

    `scram_iterations` are those of what is kept for SCRAM; 0: nothing is.
    """

    def __init__(self, path: Path, scram_iterations: int = 0) -> None:
        self._path = path
        self._scram_iterations = scram_iterations
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
            return tuple(entry_of(tables, name).principal for name in tables.names())

    def principal(self, name: str) -> Principal:
        with self._transaction("DEFERRED") as tables:
            return entry_of(tables, name).principal

    def scheme(self, name: str) -> str | None:
        with self._transaction("DEFERRED") as tables:
            secret = entry_of(tables, name).secret
        return None if secret is None else scheme_of(secret)

    def members(self, name: str) -> tuple[str, ...]:
        with self._transaction("DEFERRED") as tables:
            entry_of(tables, name)
            keys = tables.members(canonical_name(name))
            return tuple(sorted(entry_of(tables, key).principal.name for key in keys))

    # Changing

    def add(self, principal: Principal, secret: str | None = None) -> None:
        with self._transaction() as tables:
            add_principal(tables, principal, secret)

    def change(self, name: str, **values: Any) -> Principal:
        with self._transaction() as tables:
            return change_principal(tables, name, **values)

    def set_secret(self, name: str, secret: str | None) -> None:
        with self._transaction() as tables:
            principal = entry_of(tables, name).principal
            if principal.type != "individual":
                raise Refused(f'"{principal.name}" is a {principal.type}; only individuals log in')
            sql = "UPDATE principal SET secret = ?, scram = ?, credential = NULL WHERE key = ?"
            tables.connection.execute(sql, (*split_secret(secret), canonical_name(name)))

    def remove(self, name: str, *, delete_mail: bool = False) -> Principal:
        key = canonical_name(name)
        with self._transaction() as tables:
            principal = entry_of(tables, name).principal
            tables.connection.execute("DELETE FROM principal WHERE key = ?", (key,))
            if delete_mail:
                sql = "INSERT INTO removal (key, name) VALUES (?, ?)"
                tables.connection.execute(sql, (key, principal.name))
        return principal

    # App passwords and tokens

    def add_app_password(self, name: str, label: str, services: Sequence[str]) -> str:
        password = new_password()
        digest = digest_of(password)
        assert digest is not None
        self._add_credential(APP_PASSWORD, name, label, digest, services, None)
        return password

    def add_token(
        self, name: str, label: str, services: Sequence[str], expires: int | None = None
    ) -> str:
        token_id = secrets.token_urlsafe(18)
        self._add_credential(TOKEN, name, label, token_id, services, expires)
        return token_id

    def credentials(self, kind: str, name: str | None = None) -> tuple[AppCredential, ...]:
        with self._transaction("DEFERRED") as tables:
            if name is not None:
                entry_of(tables, name)
            return credentials_of(tables, kind, name)

    def remove_credential(self, kind: str, name: str, label: str) -> None:
        with self._transaction() as tables:
            own = entry_of(tables, name).principal.name
            found = credentials_of(tables, kind, name)
            if label not in (credential.label for credential in found):
                raise NotFound(f'"{own}" has no {_WORDS[kind]} "{label}"')
            sql = "DELETE FROM credential WHERE principal = ? AND kind = ? AND label = ?"
            tables.connection.execute(sql, (canonical_name(name), kind, label))

    def _add_credential(
        self,
        kind: str,
        name: str,
        label: str,
        identifier: str,
        services: Sequence[str],
        expires: int | None,
    ) -> None:
        if not 0 < len(label) <= _LONGEST_LABEL or not label.isprintable():
            raise Refused(f"allowed is a label of 1 to {_LONGEST_LABEL} printable characters")
        key, word = canonical_name(name), _WORDS[kind]
        with self._transaction() as tables:
            principal = entry_of(tables, name).principal
            if principal.type != "individual":
                raise Refused(f'"{principal.name}" is a {principal.type}; only individuals log in')
            others = credentials_of(tables, kind, name)
            if label in (other.label for other in others):
                raise Refused(f'"{principal.name}" has a {word} "{label}" already')
            if len(others) >= _MOST_CREDENTIALS:
                raise Refused(f'"{principal.name}" has {_MOST_CREDENTIALS} of them; remove some')
            tables.connection.execute(
                "INSERT INTO credential (principal, kind, label, id, services, created, expires)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, kind, label, identifier, " ".join(services), int(time.time()), expires),
            )

    def hash_password(self, password: str) -> str:
        if problem := password_problem(password):
            raise Refused(problem)
        secret = hashed(password)
        if self._scram_iterations and is_possible(password):
            secret += "\n" + new_scram(password, self._scram_iterations)
        return secret

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

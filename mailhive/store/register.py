"""The server database: which accounts there are."""

import base64
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred

from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import Schema, packaged_schema
from mailhive.store.database import Database, Threads

__all__ = ["SERVER_SCHEMA", "Register", "new_account_id"]

SERVER_SCHEMA = packaged_schema("mailhive.store", "server", 0x4D685372)


class _Writer:
    """A writer that has nothing to complete."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def finish(self) -> None:
        pass


class Register:
    """The table of accounts, as `Sessions` of its own database.

    A look-up is one probe of an index and made at once.
    """

    def __init__(self, path: Path, threads: Threads, schema: Schema = SERVER_SCHEMA) -> None:
        self._path = path
        self._schema = schema
        self._database = Database(path, self, threads)

    def open_blocking(self) -> None:
        self._database.open_blocking()

    async def close(self) -> None:
        await self._database.close()

    def id_of(self, name: str) -> str | None:
        """The id of the account of `name`."""
        found: str | None = self._look("SELECT id FROM account WHERE name = ?", name)
        return found

    def exists(self, account_id: str) -> bool:
        """Is there an account of this id?"""
        sql = "SELECT 1 FROM account WHERE id = ? AND name IS NOT NULL"
        return self._look(sql, account_id) is not None

    def names(self) -> Deferred[dict[str, str]]:
        """Fire with every account's name and id."""
        return self._database.write(_names)

    def doomed(self) -> list[str]:
        """The accounts whose removal was begun; blocks, for the start of the daemon."""
        rows: list[tuple[str]] = self._database.read_inline(
            lambda connection: connection.all("SELECT id FROM account WHERE name IS NULL")
        )
        return [account_id for (account_id,) in rows]

    def create(self, name: str, make_file: Callable[[str], None]) -> Deferred[str]:
        """Fire with the id of the account of `name`, whose file is made first if there is none."""
        return self._database.write(_create, name, make_file)

    def doom(self, account_id: str) -> Deferred[None]:
        """Take the name from an account; its file is to be removed."""
        sql = "UPDATE account SET name = NULL WHERE id = ?"
        return self._database.write(_run, sql, account_id)

    def forget(self, account_id: str) -> Deferred[None]:
        """The file of an account is gone."""
        sql = "DELETE FROM account WHERE id = ? AND name IS NULL"
        return self._database.write(_run, sql, account_id)

    def _look(self, sql: str, key: str) -> str | None:
        found: str | None = self._database.look(sql, key)
        return found

    # Sessions

    def connect(self, *, wait: bool) -> Connection:
        return Connection(self._path, busy_timeout=10.0 if wait else 0.0)

    def prepare(self, connection: Connection) -> None:
        self._schema.apply(connection)

    def reader(self, connection: Connection, *, bounded: bool) -> Connection:  # noqa: ARG002
        return connection

    def writer(self, connection: Connection) -> _Writer:
        return _Writer(connection)

    def committed(self, writers: Sequence[_Writer]) -> None:
        pass


def new_account_id() -> str:
    """A random id; its 80 bits make it unique."""
    return "a" + base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


def _create(writer: _Writer, name: str, make_file: Callable[[str], None]) -> str:
    found: str | None = writer.connection.value("SELECT id FROM account WHERE name = ?", (name,))
    if found is not None:
        return found
    account_id = new_account_id()
    make_file(account_id)
    writer.connection.execute("INSERT INTO account (id, name) VALUES (?, ?)", (account_id, name))
    return account_id


def _run(writer: _Writer, sql: str, *parameters: str) -> None:
    writer.connection.execute(sql, parameters)


def _names(writer: _Writer) -> dict[str, str]:
    rows = writer.connection.all("SELECT name, id FROM account WHERE name IS NOT NULL")
    return dict(rows)

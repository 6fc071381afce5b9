"""Numbered schema files, applied when a database is opened.

`sql/<name>/0001_initial.sql` brings an empty file to version 1, and so on; the
version a file has is its `user_version`.  Each file starts with a line of prose.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from attrs import frozen

from mailhive.errors import MailhiveError
from mailhive.sqlite.connection import Connection

__all__ = ["Migration", "Schema", "SchemaError", "packaged_schema", "sync_directory"]

_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")


class SchemaError(MailhiveError):
    """A file is not one of ours, or was written by a newer mailhive."""


@frozen
class Migration:
    """One step: the version it leads to, and its statements."""

    version: int
    sql: str


@frozen
class Schema:
    """The steps to the newest version, and the application id that marks a file as ours."""

    name: str
    application_id: int
    migrations: tuple[Migration, ...]

    @property
    def version(self) -> int:
        return self.migrations[-1].version

    def apply(self, connection: Connection) -> None:
        """Bring the file to the newest version; blocks.

        A file that holds an older version is first copied to
        `<file>.v<version>.backup` beside it.  `SchemaError` for a file that is
        newer than this program or not one of its own.
        """
        if self.is_applied(connection):
            return
        # Another process may be doing the same: what is found holds in a transaction only.
        with connection.transaction("IMMEDIATE"):
            found = self._found(connection)
            if found == 0:
                self._migrate(connection, found)
        if 0 < found < self.version:
            path = connection.path
            with _alone(path.parent):  # a copy cannot be made in a transaction
                found = self._found(connection)
                if found < self.version:
                    backup(connection, path.with_name(f"{path.name}.v{found}.backup"))
                    with connection.transaction("IMMEDIATE"):
                        self._migrate(connection, found)

    def is_applied(self, connection: Connection) -> bool:
        """Is it a file of ours, of the newest version?"""
        found = connection.value("PRAGMA user_version")
        return bool(found == self.version) and self._is_ours(connection)

    def _found(self, connection: Connection) -> int:
        """The version of the file, 0 for an empty one."""
        path = connection.path
        found: int = connection.value("PRAGMA user_version")
        if found > self.version:
            raise SchemaError(
                f"{path} has version {found} of the {self.name} schema; this mailhive knows"
                f" versions up to {self.version}. Run the newer mailhive that wrote it, or"
                " restore the backup made before the upgrade."
            )
        empty = connection.value("SELECT count(*) FROM sqlite_schema") == 0
        if not empty and (found == 0 or not self._is_ours(connection)):
            raise SchemaError(f"{path} is not a {self.name} database of mailhive.")
        return found

    def _migrate(self, connection: Connection, found: int) -> None:
        for migration in self.migrations:
            if migration.version > found:
                connection.execute(migration.sql)
        connection.execute(f"PRAGMA application_id = {self.application_id}")
        connection.execute(f"PRAGMA user_version = {self.version}")

    def _is_ours(self, connection: Connection) -> bool:
        return bool(connection.value("PRAGMA application_id") == self.application_id)


def backup(connection: Connection, target: Path) -> None:
    """Write a durable copy of the database to `target`, whole or not at all."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(part),))
    part.chmod(0o600)
    with part.open("rb") as copy:
        os.fsync(copy.fileno())
    part.replace(target)
    sync_directory(target.parent)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep others who upgrade a file in a directory waiting."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def packaged_schema(package: str, name: str, application_id: int) -> Schema:
    """The schema in `sql/<name>/` of a package."""
    return Schema(name, application_id, read_migrations(files(package) / "sql" / name))


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """The numbered files of a folder, in order, without a gap."""
    found = {}
    for entry in folder.iterdir():
        if match := _FILE_NAME.fullmatch(entry.name):
            found[int(match[1])] = entry.read_text("utf-8")
    if sorted(found) != list(range(1, len(found) + 1)):
        raise SchemaError(f"The schema files in {folder} are not numbered 1 to {len(found)}.")
    return tuple(Migration(version, found[version]) for version in sorted(found))

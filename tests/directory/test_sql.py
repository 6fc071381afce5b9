"""Directories in databases of others: the contract, on every kind, by the shipped examples."""

from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
from argon2 import PasswordHasher
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.config.load import load
from mailhive.directory.database.provider import PROVIDER, SqlDirectory
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.database_servers import MariadbServer, PostgresqlServer

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "etc" / "directory-sql.sql").read_text(encoding="utf-8")
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
USUAL_PORT = {"postgresql": "port = 5432", "mysql": "port = 3306"}


def example(driver, tmp_path, *, port=0, changes=()):
    """The settings of an example of etc/, with another port or path."""
    text = (ROOT / "etc" / f"directory-sql-{driver}.toml").read_text(encoding="utf-8")
    replaced = [("../var", "."), *changes]
    if driver in USUAL_PORT:
        replaced.append((USUAL_PORT[driver], f"port = {port}"))
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "mailhive.toml"
    path.write_text(text, encoding="utf-8")
    return load(path).settings.directory["sql"].settings


def statements():
    """SQL that makes the tables and fills them with PRINCIPALS, and its parameters."""
    lines = [line.partition("--")[0] for line in SCHEMA.splitlines()]
    yield from ((sql, ()) for sql in "\n".join(lines).split(";") if sql.strip())
    for p in PRINCIPALS:
        secret = CHEAP.hash(PASSWORDS[p.name]) if p.name in PASSWORDS else None
        values = (p.name, p.type, secret, p.description, p.quota or 0, p.members_may, p.mailboxes)
        yield f"INSERT INTO accounts VALUES ({', '.join(['%s'] * 7)}, 1)", values
        for position, address in enumerate(p.emails):
            yield "INSERT INTO emails VALUES (%s, %s, %s)", (address, p.name, position)
    for p in PRINCIPALS:
        for position, group in enumerate(p.member_of):
            yield "INSERT INTO group_members VALUES (%s, %s, %s)", (p.name, group, position)


def fill_sqlite(path):
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    for sql, values in statements():
        connection.execute(sql.replace("%s", "?"), values)
    connection.close()


def fill_server(server):
    server.create("mail", "mailhive", "mailhive-secret")
    connection = server.connect("mail", "mailhive", "mailhive-secret")
    with connection, connection.cursor() as cursor:
        for sql, values in statements():
            cursor.execute(sql, values)


@pytest.fixture(scope="module")
def postgresql():
    with PostgresqlServer() as server:
        fill_server(server)
        yield server


@pytest.fixture(scope="module")
def mariadb():
    with MariadbServer() as server:
        fill_server(server)
        yield server


class Opened:
    """Directories that are open until the end of a test."""

    def __init__(self):
        self.directories = []

    def cached(self, settings):
        context = SimpleNamespace(name="sql", offload=deferToThread, reactor=reactor)
        return self._open(PROVIDER.build(settings, context))

    def bare(self, settings):
        return self._open(SqlDirectory("sql", settings, reactor, deferToThread))

    def _open(self, directory):
        directory.open()
        self.directories.append(directory)
        return directory


@pytest.fixture
def opened():
    opened = Opened()
    yield opened
    for directory in opened.directories:
        directory.close()


class TestSqliteDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self, tmp_path, opened):
        fill_sqlite(tmp_path / "accounts.sqlite3")
        return opened.cached(example("sqlite", tmp_path))


class TestPostgresqlDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self, tmp_path, opened, postgresql):
        return opened.cached(example("postgresql", tmp_path, port=postgresql.port))


@pytest.mark.system
class TestMariadbDirectory(DirectoryConformance):
    @pytest.fixture
    def directory(self, tmp_path, opened, mariadb):
        return opened.cached(example("mysql", tmp_path, port=mariadb.port))

"""Directories in databases of others: the contract, on every kind, by the shipped examples.

And what becomes of questions when the database hangs, lies, or is not there.
"""

import signal
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
import pytest_twisted
from argon2 import PasswordHasher
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from mailhive.config.load import load
from mailhive.directory.database.provider import PROVIDER, SqlDirectory
from mailhive.errors import TemporaryFailure
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.database_servers import MariadbServer, PostgresqlServer
from mailhive.testing.relay import Relay

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


def with_timeout(driver, tmp_path, port):
    """The example, less patient; bare of its cache."""
    changes = [('timeout = "5s"', 'timeout = "1s"')]
    return example(driver, tmp_path, port=port, changes=changes)


async def is_well(directory):
    assert (await directory.authenticate("bob", PASSWORDS["bob"])).name == "bob"
    assert await directory.recipients("nobody@elsewhere.example") == ()
    return True


async def fails(directory, lookups=1):
    """Every question fails, and none is answered with nobody."""
    for answer in [
        answer
        for _ in range(lookups)
        for answer in (
            directory.authenticate("bob", PASSWORDS["bob"]),
            directory.principal("bob"),
            directory.recipients("bob@example.org"),
            directory.is_local_domain("example.org"),
        )
    ]:
        with pytest.raises(TemporaryFailure):
            await answer
    return True


async def recovers(directory, patience=20.0):
    """It answers again, by itself, before long."""
    end = reactor.seconds() + patience
    while True:
        try:
            return await is_well(directory)
        except TemporaryFailure:
            assert reactor.seconds() < end
            await deferLater(reactor, 0.1)


class Failures:
    """What every kind of server has to be survived; fixtures `server` and `driver`."""

    @pytest_twisted.async_yield_fixture
    async def relay(self, server):
        relay = Relay(reactor, server.port)
        yield relay
        await relay.close()

    @pytest.fixture
    def relayed(self, driver, relay, tmp_path, opened):
        return opened.bare(with_timeout(driver, tmp_path, relay.port))

    @pytest.fixture
    def directory(self, driver, server, tmp_path, opened):
        return opened.bare(with_timeout(driver, tmp_path, server.port))

    @pytest.mark.parametrize("mode", ["refuse", "silent", "cut", "garbage", "drip", "endless"])
    @ensureDeferred
    async def test_a_network_or_server_that_misbehaves(self, relayed, relay, mode):
        assert await is_well(relayed)
        relay.mode = mode
        if mode != "refuse":
            assert await fails(relayed)  # by connections that were open
        relay.cut_all()
        assert await fails(relayed)  # by new ones
        relay.mode = "pass"
        relay.cut_all()
        assert await recovers(relayed)

    @pytest.mark.parametrize("mode", ["refuse", "silent", "cut", "garbage", "drip", "endless"])
    @ensureDeferred
    async def test_one_that_misbehaves_from_the_start(self, relayed, relay, mode):
        relay.mode = mode
        assert await fails(relayed, 3)
        relay.mode = "pass"
        relay.cut_all()
        assert await recovers(relayed)

    @ensureDeferred
    async def test_connections_that_were_lost_are_replaced_unnoticed(self, relayed, relay):
        await gatherResults([relayed.principal("bob") for _ in range(20)])
        assert len(relay.connections) > 1
        relay.cut_all()
        await deferLater(reactor, 0.1)
        for _ in range(3):
            assert await is_well(relayed)

    @ensureDeferred
    async def test_a_server_that_hangs(self, directory, server):
        assert await is_well(directory)
        server.suspend()
        try:
            assert await fails(directory, 10)
            assert await fails(directory)
        finally:
            server.resume()
        assert await recovers(directory)

    @pytest.mark.parametrize("how", [signal.SIGKILL, None])
    @ensureDeferred
    async def test_a_server_that_is_restarted(self, directory, server, how):
        assert await is_well(directory)
        await deferToThread(server.stop, how)
        assert await fails(directory)
        await deferToThread(server.start)
        assert await recovers(directory)

    @ensureDeferred
    async def test_questions_beyond_the_bounds_fail_at_once(self, relayed, relay):
        relay.mode = "silent"
        answers = [relayed.principal("bob") for _ in range(1200)]
        refused = [answer for answer in answers if answer.called]
        assert len(refused) == 190
        for answer in answers:
            with pytest.raises(TemporaryFailure):
                await answer
        relay.mode = "pass"
        relay.cut_all()
        assert await recovers(relayed)

    @ensureDeferred
    async def test_a_query_that_is_wrong_or_answers_too_much(
        self, driver, server, tmp_path, opened
    ):
        right = "SELECT name FROM emails WHERE address = :address"
        too_much = "SELECT a.name FROM emails a, emails b, emails c, emails d, emails e"
        for wrong in (
            "SELECT nothing FROM emails WHERE address = :address",
            f"{too_much} WHERE :address <> ''",
        ):
            settings = example(driver, tmp_path, port=server.port, changes=[(right, wrong)])
            directory = opened.bare(settings)
            for _ in range(2):
                with pytest.raises(TemporaryFailure):
                    await directory.recipients("bob@example.org")
            assert await directory.principal("bob")

    @ensureDeferred
    async def test_a_wrong_password_of_ours(self, driver, server, tmp_path, opened):
        changes = [("mailhive-secret", "wrong-secret")]
        settings = example(driver, tmp_path, port=server.port, changes=changes)
        assert await fails(opened.bare(settings))


class TestPostgresqlFailures(Failures):
    driver = pytest.fixture(lambda self: "postgresql")
    server = pytest.fixture(lambda self, postgresql: postgresql)


@pytest.mark.system
class TestMariadbFailures(Failures):
    driver = pytest.fixture(lambda self: "mysql")
    server = pytest.fixture(lambda self, mariadb: mariadb)

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
from twisted.logger import globalLogPublisher

from mailhive.config.fields import FilePath
from mailhive.config.load import load
from mailhive.config.units import Duration
from mailhive.directory import password, schemes
from mailhive.directory.database.pool import QueryFailed
from mailhive.directory.database.provider import PROVIDER, SqlDirectory
from mailhive.directory.database.settings import (
    ColumnSettings,
    OptionSettings,
    PoolSettings,
    QuerySettings,
    SqlSettings,
)
from mailhive.directory.database.sqlite import SqliteDatabase
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal
from mailhive.testing.certificates import make_certificate
from mailhive.testing.conformance.directory import PASSWORDS, PRINCIPALS, DirectoryConformance
from mailhive.testing.database_servers import (
    MariadbServer,
    PostgresqlServer,
    SystemPostgresqlServer,
)
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


async def recovers(directory, patience=120.0):
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
        assert await recovers(relayed)
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
    async def test_connections_that_were_lost_are_replaced_unnoticed(
        self, driver, relay, tmp_path, opened
    ):
        relayed = opened.bare(example(driver, tmp_path, port=relay.port))
        await gatherResults([relayed.principal("bob") for _ in range(20)])
        assert len(relay.connections) > 1
        relay.cut_all()
        await deferLater(reactor, 0.1)
        for _ in range(3):
            assert await is_well(relayed)

    @ensureDeferred
    async def test_a_server_that_hangs(self, directory, server):
        assert await recovers(directory)
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
        assert await recovers(directory)
        await deferToThread(server.stop, how)
        try:
            assert await fails(directory)
        finally:
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
    async def test_by_a_unix_socket(self, driver, server, tmp_path, opened):
        changes = [('host = "127.0.0.1"', f'host = "{server.socket}"')]
        settings = example(driver, tmp_path, port=server.port, changes=changes)
        assert await is_well(opened.bare(settings))
        await deferToThread(server.stop)
        try:
            assert await fails(opened.bare(settings))
        finally:
            await deferToThread(server.start)

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


@pytest.fixture
def sqlite(tmp_path, opened):
    """A function: a database that a script makes, and the directory of queries on it."""

    def make(script, query, **more):
        connection = apsw.Connection(str(tmp_path / "accounts.sqlite3"))
        connection.execute(script)
        connection.close()
        path = FilePath(tmp_path / "accounts.sqlite3")
        more.setdefault("columns", ColumnSettings(email="mail"))
        settings = SqlSettings(driver="sqlite", path=path, query=QuerySettings(**query), **more)
        assert list(settings.problems()) == []
        return opened.bare(settings)

    return make


USERS = "CREATE TABLE users (name, secret, type, quota, mail, enabled, members_may);"
QUERIES = {
    "name": "SELECT * FROM users WHERE name = :name COLLATE NOCASE",
    "recipients": "SELECT name FROM users WHERE mail = :address COLLATE NOCASE",
    "domains": "SELECT 1 FROM users WHERE mail LIKE '%@' || :domain",
}


@ensureDeferred
async def test_a_table_that_was_there_before(sqlite):
    secret = CHEAP.hash("secret")
    directory = sqlite(
        "CREATE TABLE users (login, pw, mail, mb, on_);"
        f"INSERT INTO users VALUES ('Eve', '{secret}', 'Eve@Bücher.example', '5', 1);"
        f"INSERT INTO users VALUES ('off', '{secret}', 'off@x.example', 0, 0);"
        "INSERT INTO users VALUES ('eve2', NULL, NULL, NULL, NULL);",
        {
            "name": "SELECT login, pw AS p, mail, mb * 1000000 AS q, on_ FROM users"
            " WHERE lower(login) = :name",
            "recipients": "SELECT login FROM users WHERE lower(mail) = :address",
            "domains": "SELECT 1 FROM users WHERE lower(mail) LIKE '%@' || :domain",
        },
        columns=ColumnSettings(name="LOGIN", secret="p", email="mail", quota="q", enabled="on_"),
    )
    eve = Principal("Eve", emails=("Eve@Bücher.example",), quota=5_000_000)
    assert await directory.principal("EVE") == eve
    assert await directory.authenticate("eve", "secret") == eve
    assert await directory.authenticate("eve@xn--bcher-kva.example", "secret") == eve
    assert await directory.recipients("eve+x@bücher.example") == (eve,)
    assert await directory.is_local_domain("Bücher.example")
    assert not await directory.is_local_domain("%")
    assert await directory.principal("eve2") == Principal("eve2")
    assert await directory.authenticate("eve2", "") is None
    off = await directory.principal("off")
    assert not off.enabled
    assert await directory.authenticate("off", "secret") is None
    assert await directory.recipients("off@x.example") == (off,)


@ensureDeferred
async def test_a_collation_that_is_generous_does_not_make_two_of_one(sqlite):
    directory = sqlite(
        f"{USERS} INSERT INTO users (name, secret) VALUES ('chloé', '{CHEAP.hash('x')}');",
        QUERIES | {"name": "SELECT * FROM users WHERE :name IN (name, 'chloe', 'chloé ')"},
    )
    assert (await directory.authenticate("chloé", "x")).name == "chloé"
    for other in ("chloe", "chloé "):
        assert await directory.authenticate(other, "x") is None
        assert await directory.principal(other) is None


@pytest.mark.parametrize("secret", ["x", "!", "$y$j9T$a$b", "{PLAIN}x", "{SSHA}?", ""])
@ensureDeferred
async def test_secrets_have_to_say_what_they_are(sqlite, secret):
    directory = sqlite(
        f"{USERS} INSERT INTO users (name, secret) VALUES ('a', '{secret}');", QUERIES
    )
    for typed in ("x", "", secret):
        found = await directory.authenticate("a", typed)
        assert (found is not None) == (secret == "{PLAIN}x" and typed == "x")


@pytest.mark.parametrize(
    "values",
    [
        {"type": "'robot'"},
        {"quota": "-1"},
        {"quota": "'much'"},
        {"members_may": "'all'"},
        {"secret": "x'ff'"},
        {"mail": "printf('%.*c', 20000, 'x')"},
    ],
)
@ensureDeferred
async def test_answers_that_make_no_sense_are_failures(sqlite, values):
    columns, given = ", ".join(values), ", ".join(values.values())
    directory = sqlite(
        f"{USERS} INSERT INTO users (name, {columns}) VALUES ('a', {given});", QUERIES
    )
    with pytest.raises(TemporaryFailure):
        await directory.principal("a")


@ensureDeferred
async def test_an_answer_without_a_name_is_a_failure(sqlite):
    query = QUERIES | {"name": "SELECT secret FROM users WHERE name = :name"}
    directory = sqlite(f"{USERS} INSERT INTO users (name) VALUES ('a');", query)
    with pytest.raises(TemporaryFailure):
        await directory.principal("a")
    assert await directory.principal("b") is None


@ensureDeferred
async def test_addresses_and_secrets_from_queries_of_their_own(sqlite):
    directory = sqlite(
        f"{USERS} INSERT INTO users (name, mail) VALUES ('a', 'a@x.example'), ('a', 'b@x.example'),"
        " ('a', 'nonsense'), ('l', '@x.example');"
        "CREATE TABLE secrets (name, secret);"
        f"INSERT INTO secrets VALUES ('a', '{CHEAP.hash('s')}');"
        "CREATE TABLE quotas (name, quota); INSERT INTO quotas VALUES ('a', 7);",
        QUERIES
        | {
            "secret": "SELECT secret FROM secrets WHERE name = :name",
            "quota": "SELECT quota FROM quotas WHERE name = :name",
        },
        options=OptionSettings(catch_all=False, subaddressing=False),
    )
    found = await directory.authenticate("b@x.example", "s")
    assert found == Principal("a", emails=("a@x.example", "b@x.example"), quota=7)
    assert await directory.recipients("a@x.example") == (found,)
    assert await directory.recipients("a+d@x.example") == ()
    assert await directory.recipients("other@x.example") == ()


LIST = """
CREATE TABLE members (name, list);
INSERT INTO users (name, type, mail) VALUES ('all', 'list', 'all@x.example'),
  ('inner', 'list', 'inner@x.example'), ('team', 'group', 'team@x.example'), ('', NULL, NULL);
INSERT INTO members VALUES ('inner', 'all'), ('team', 'inner'), ('all', 'inner'), ('', 'all');
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
INSERT INTO users (name, mail, quota) SELECT 'U' || i, i || '@x.example', i FROM n;
INSERT INTO users (name, mail) SELECT name, 'alias-' || mail FROM users WHERE quota IS NOT NULL;
INSERT INTO members SELECT DISTINCT name, 'all' FROM users WHERE name LIKE 'U%';
"""


@ensureDeferred
async def test_a_list_costs_as_many_queries_as_there_are_lists_in_it(sqlite, monkeypatch):
    query, asked = SqliteDatabase.query, []
    monkeypatch.setattr(
        SqliteDatabase, "query", lambda self, *a: asked.append(a) or query(self, *a)
    )
    expand = {"expand": "SELECT name FROM members WHERE list = :name"}
    whole = (
        "SELECT u.* FROM members m JOIN users u ON u.name = m.name"
        " WHERE m.list = :name ORDER BY u.rowid"
    )
    directory = sqlite(USERS + LIST, QUERIES | {"list_members": whole})
    found = await directory.recipients("all@x.example")
    assert len(asked) == 4  # whose address it is, who that is, and two lists
    one_by_one = await sqlite("", QUERIES | expand).recipients("all@x.example")
    assert len(asked) > 300
    by_name = {principal.name: principal for principal in found}
    assert len(found) == 301 and by_name == {p.name: p for p in one_by_one}
    assert by_name["U7"].emails == ("7@x.example", "alias-7@x.example")
    assert by_name["U7"].quota == 7


@ensureDeferred
async def test_members_without_names(sqlite):
    query = QUERIES | {"list_members": "SELECT list FROM members WHERE list = :name"}
    directory = sqlite(USERS + LIST, query)
    with pytest.raises(TemporaryFailure):
        await directory.recipients("all@x.example")


def test_one_query_for_the_members_of_a_list():
    both = QuerySettings(**QUERIES, expand="SELECT :name", list_members="SELECT :name")
    settings = SqlSettings(driver="sqlite", path=FilePath(Path("x")), query=both)
    assert [path for path, _ in settings.problems()] == [("query", "expand")]


@ensureDeferred
async def test_a_file_that_is_not_there_yet(tmp_path, opened):
    directory = opened.bare(example("sqlite", tmp_path))
    assert await fails(directory)
    fill_sqlite(tmp_path / "accounts.sqlite3")
    assert await is_well(directory)
    assert (tmp_path / "accounts.sqlite3").exists()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@ensureDeferred
async def test_a_query_that_never_ends_is_broken_off(sqlite):
    directory = sqlite(
        USERS,
        QUERIES | {"domains": f"{ENDLESS} WHERE :domain <> ''"},
        timeout=Duration(1.0),
        pool=PoolSettings(max_connections=1),
    )
    for _ in range(2):
        with pytest.raises(TemporaryFailure):
            await directory.is_local_domain("x.example")
    assert await directory.principal("a") is None


def test_a_query_is_broken_off_before_it_begins(tmp_path):
    fill_sqlite(tmp_path / "file")
    database = SqliteDatabase(tmp_path / "file", 1.0)
    database.tear()
    with pytest.raises(QueryFailed):
        database.query(ENDLESS, {})
    database.close()


@ensureDeferred
async def test_a_file_is_not_changed(sqlite):
    directory = sqlite(
        f"{USERS} INSERT INTO users (name) VALUES ('a');",
        QUERIES | {"domains": "DELETE FROM users WHERE :domain <> ''"},
    )
    with pytest.raises(TemporaryFailure):
        await directory.is_local_domain("x.example")
    assert await directory.principal("a")


@ensureDeferred
async def test_closed(sqlite):
    directory = sqlite(USERS, QUERIES)
    under_way = [directory.principal("a") for _ in range(5)]
    directory.close()
    for answer in under_way:
        assert await answer is None
    with pytest.raises(TemporaryFailure):
        await directory.principal("a")


@pytest.mark.parametrize("form", ["{}", "{}@x.example"])
@pytest.mark.parametrize("secret", [False, True])
@ensureDeferred
async def test_who_does_not_exist_costs_as_many_queries(sqlite, monkeypatch, form, secret):
    """And as many hashes: the time of an answer does not tell who exists."""
    query = SqliteDatabase.query
    asked, checked = [], []
    monkeypatch.setattr(
        SqliteDatabase, "query", lambda self, *a: asked.append(a) or query(self, *a)
    )
    monkeypatch.setattr(password, "matches", lambda *a: checked.append(a) or schemes.matches(*a))
    more = {"secret": "SELECT secret FROM users WHERE name = :name"} if secret else {}
    directory = sqlite(
        f"{USERS} INSERT INTO users (name, mail, secret, type) VALUES"
        f" ('a', 'a@x.example', '{CHEAP.hash('x')}', 'individual'),"
        " ('b', 'b@x.example', NULL, NULL), ('g', 'g@x.example', NULL, 'group');",
        QUERIES | more,
    )
    counts = []
    for name in ("a", "b", "g", "nobody"):
        assert await directory.authenticate(form.format(name), "wrong") is None
        counts.append((len(asked), len(checked)))
        del asked[:], checked[:]
    assert len(set(counts)) == 1
    assert counts[0][1] == 1


@ensureDeferred
async def test_trouble_is_told_once_and_its_end_too(tmp_path, opened):
    lines = []

    def observe(event):
        if event.get("log_namespace") == "mailhive.directory.database.provider":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    try:
        directory = opened.bare(example("sqlite", tmp_path))
        assert await fails(directory, 3)
        fill_sqlite(tmp_path / "accounts.sqlite3")
        assert await is_well(directory)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines == [
        'Directory "sql" cannot answer: cannot connect: unable to open database file',
        'Directory "sql" answers again',
    ]


PEM = make_certificate("localhost")


@pytest.fixture(scope="module")
def encrypted_postgresql():
    with SystemPostgresqlServer(PEM) as server:
        fill_server(server)
        yield server


@pytest.fixture(scope="module")
def encrypted_mariadb():
    with MariadbServer(PEM) as server:
        fill_server(server)
        yield server


class Tls:
    """Encryption to a server; fixtures `driver`, `server` that offers it, `plain` that does not."""

    @pytest.fixture
    def connect(self, driver, tmp_path, opened):
        def connect(server, ca, host="localhost"):
            path = tmp_path / "ca.pem"
            path.write_bytes(ca.certificate)
            changes = [
                ('host = "127.0.0.1"', f'host = "{host}"'),
                ("enable = false ", "enable = true "),
                ('# ca = "/etc/ssl/database.pem"', f'ca = "{path}"'),
            ]
            return opened.bare(example(driver, tmp_path, port=server.port, changes=changes))

        return connect

    @ensureDeferred
    async def test_a_certificate_that_is_trusted(self, connect, server):
        assert await is_well(connect(server, PEM))

    @ensureDeferred
    async def test_a_certificate_of_somebody_else(self, connect, server):
        assert await fails(connect(server, make_certificate("localhost")))

    @ensureDeferred
    async def test_a_certificate_for_another_name(self, connect, server):
        assert await fails(connect(server, PEM, "127.0.0.1"))

    @ensureDeferred
    async def test_a_server_without_encryption(self, connect, plain):
        assert await fails(connect(plain, PEM))


@pytest.mark.system
class TestPostgresqlTls(Tls):
    driver = pytest.fixture(lambda self: "postgresql")
    server = pytest.fixture(lambda self, encrypted_postgresql: encrypted_postgresql)
    plain = pytest.fixture(lambda self, postgresql: postgresql)


@pytest.mark.system
class TestMariadbTls(Tls):
    driver = pytest.fixture(lambda self: "mysql")
    server = pytest.fixture(lambda self, encrypted_mariadb: encrypted_mariadb)
    plain = pytest.fixture(lambda self, mariadb: mariadb)

"""Schema versions: applied in order, with a copy kept of what was there."""

from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest

from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import Migration, Schema, SchemaError, read_migrations
from mailhive.store.account import ACCOUNT_SCHEMA, connect
from mailhive.store.check import problems
from mailhive.store.register import SERVER_SCHEMA

ONE = Migration(1, "CREATE TABLE t (a); INSERT INTO t VALUES (1);")
TWO = Migration(2, "ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a + 1;")
BAD = Migration(3, "CREATE TABLE u (c); SELECT * FROM nowhere;")


def schema(*migrations):
    return Schema("test", 7, migrations)


@pytest.fixture
def connection(tmp_path):
    connection = Connection(tmp_path / "x.sqlite")
    yield connection
    connection.close()


def test_an_upgrade_keeps_a_copy(connection, tmp_path):
    schema(ONE).apply(connection)
    assert list(tmp_path.glob("*.backup")) == []
    schema(ONE, TWO).apply(connection)
    assert connection.all("SELECT * FROM t") == [(1, 2)]
    assert connection.value("PRAGMA user_version") == 2
    copy = tmp_path / "x.sqlite.v1.backup"
    assert copy.stat().st_mode & 0o077 == 0
    old = Connection(copy)
    assert old.value("PRAGMA user_version") == 1
    assert old.all("SELECT * FROM t") == [(1,)]
    old.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(connection):
    schema(ONE).apply(connection)
    with pytest.raises(Exception, match="nowhere"):
        schema(ONE, TWO, BAD).apply(connection)
    assert connection.all("SELECT * FROM t") == [(1,)]
    assert connection.value("PRAGMA user_version") == 1


def test_a_newer_or_foreign_file_is_refused(connection):
    schema(ONE, TWO).apply(connection)
    with pytest.raises(SchemaError, match=r"x\.sqlite has version 2 of the test schema"):
        schema(ONE).apply(connection)
    for foreign in (Schema("other", 8, (ONE, TWO)), Schema("other", 8, (ONE, TWO, BAD))):
        with pytest.raises(SchemaError, match="is not a other database"):
            foreign.apply(connection)


def test_files_are_numbered_without_a_gap(tmp_path):
    (tmp_path / "0001_first.sql").write_text("-- 1")
    (tmp_path / "notes.txt").write_text("")
    assert [m.version for m in read_migrations(tmp_path)] == [1]
    (tmp_path / "0003_third.sql").write_text("-- 3")
    with pytest.raises(SchemaError, match="numbered"):
        read_migrations(tmp_path)


@pytest.mark.parametrize("packaged", [ACCOUNT_SCHEMA, SERVER_SCHEMA], ids=lambda s: s.name)
def test_every_packaged_version_says_what_it_is(packaged):
    for migration in packaged.migrations:
        assert migration.sql.startswith(f"-- {migration.version}: ")


def test_a_new_account_is_consistent(tmp_path):
    connection = connect(tmp_path / "a.sqlite")
    ACCOUNT_SCHEMA.apply(connection)
    assert problems(connection) == []
    connection.close()


def test_several_processes_that_open_a_new_file_at_once(tmp_path):
    """Each with a connection of its own; one makes the tables."""
    slow = "CREATE TABLE t (n); " + "INSERT INTO t VALUES (1); " * 50
    steps = schema(Migration(1, slow))

    def opened(name):
        connection = Connection(tmp_path / name)
        try:
            steps.apply(connection)
            return connection.value("SELECT count(*) FROM t")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        # Often, as what goes wrong does so once in hundreds of times.
        for number in range(40):
            assert set(pool.map(opened, [f"file{number}"] * 16)) == {50}


def test_several_processes_that_upgrade_a_file_at_once(tmp_path):
    """One copies and upgrades it, the others find that done."""

    def upgraded(name):
        connection = Connection(tmp_path / name)
        try:
            schema(ONE, TWO).apply(connection)
            return connection.all("SELECT * FROM t")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            old = Connection(tmp_path / f"file{number}")
            schema(ONE).apply(old)
            old.close()
            assert list(pool.map(upgraded, [f"file{number}"] * 8)) == [[(1, 2)]] * 8
            copy = Connection(tmp_path / f"file{number}.v1.backup")
            assert copy.all("SELECT * FROM t") == [(1,)]
            copy.close()


def test_a_file_that_stays_busy_is_refused_in_time(tmp_path):
    holder = apsw.Connection(str(tmp_path / "file"))
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(apsw.BusyError):
        Connection(tmp_path / "file", busy_timeout=0.05)
    holder.execute("COMMIT")
    Connection(tmp_path / "file", busy_timeout=0.05).close()
    holder.close()

"""A connection and the time it is given."""

from pathlib import Path
from time import sleep

import apsw
import pytest

from mailhive.sqlite.connection import Connection, OutOfTime

ENDLESS = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def test_a_statement_ends_when_its_time_is_over(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "x.sqlite")
    with pytest.raises(OutOfTime), connection.transaction(), connection.patience(0.01):
        connection.all(ENDLESS)
    assert not connection.in_transaction
    with connection.patience(60):
        assert connection.value("SELECT 1") == 1
    connection.close()


def test_time_that_is_over_before_a_statement_begins(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "x.sqlite")
    for _ in range(20):
        with pytest.raises(OutOfTime), connection.patience(0):
            sleep(0.001)
            connection.all(ENDLESS)
        assert connection.value("SELECT 1") == 1
    connection.close()


def test_a_connection_can_be_broken_off(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "x.sqlite")
    connection.define("break_off", lambda: connection.interrupt() or 1, 0)
    with pytest.raises(apsw.InterruptError), connection.patience(60):
        connection.all(ENDLESS.replace("VALUES (1)", "SELECT break_off()"))
    # Also when it is told so before the statement begins.
    with pytest.raises(apsw.InterruptError), connection.patience(60):
        connection.all(ENDLESS)
    connection.close()


def test_numbers_come_in_the_order_of_the_statement(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "x.sqlite")
    connection.execute("CREATE TABLE t (a INTEGER, b INTEGER)")
    rows = [(n, (n * 7919) % 1009) for n in range(1000)]
    for row in rows:
        connection.execute("INSERT INTO t VALUES (?, ?)", row)
    found = connection.numbers(("a", "b"), "SELECT a, b FROM t WHERE a > ? ORDER BY b DESC", (9,))
    expected = sorted(rows[10:], key=lambda row: -row[1])
    assert found == [number for row in expected for number in row]
    assert connection.numbers(("a",), "SELECT a FROM t WHERE a < 0") == []
    connection.close()

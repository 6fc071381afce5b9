"""A mail store on files of its own, and a way to look inside."""

import pytest
from pytest_twisted import async_yield_fixture
from twisted.internet import reactor

from mailhive.store.account import connect
from mailhive.store.check import problems
from mailhive.store.sqlite import SqliteMailStore, SqliteSettings


@async_yield_fixture
async def open_store(tmp_path):
    """Opens the store in `tmp_path`, as often as asked; the last one is closed at the end."""
    opened = []

    def open_store(**settings):
        store = SqliteMailStore(SqliteSettings(**settings), tmp_path, reactor)
        store.startService()
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_store):
    """An open, empty store."""
    return open_store()


@pytest.fixture
def check(tmp_path):
    """Raise if the database of an account is not consistent."""

    def check(account_id):
        connection = connect(tmp_path / "accounts" / f"{account_id}.sqlite")
        try:
            assert problems(connection) == []
        finally:
            connection.close()

    return check

"""A mail store on files of its own, and a way to look inside."""

import pytest
from pytest_twisted import async_yield_fixture
from twisted.internet import reactor

from mailhive.store.account import connect
from mailhive.store.check import problems
from mailhive.store.sqlite import SqliteMailStore, SqliteSettings


@pytest.fixture
def settings():
    return SqliteSettings()


@async_yield_fixture
async def store(tmp_path, settings):
    """An open, empty store."""
    store = SqliteMailStore(settings, tmp_path, reactor)
    store.startService()
    yield store
    await store.stopService()


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

"""The mail store of two workers on real connections: what is sent is pickled."""

from contextlib import suppress

import pytest
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor

from mailhive.errors import AccountNotFound, NotFound, TemporaryFailure
from mailhive.mail.provision import Accounts
from mailhive.model.principal import Principal
from mailhive.store.shared import SharedMailStore
from mailhive.store.sqlite import SqliteSettings
from mailhive.testing.conformance.mailstore_samples import file, inbox_of, new_email


@async_yield_fixture
async def pair(tmp_path, hall):
    place = hall()
    stores = []
    for index in (0, 1):
        peers = place.peers(index)
        stores.append(SharedMailStore(SqliteSettings(), tmp_path, reactor, peers))
        peers.startService()
        stores[-1].startService()
    yield stores
    for store in reversed(stores):
        await store.stopService()
        if store._peers.running:
            await place.end(store._peers)


async def owned_by(stores, index):
    """A new account with that owner."""
    number = 0
    while True:
        account = await stores[1].create_account(f"user{number}")
        if stores[0]._peers.owner(account) == index:
            return account
        number += 1


@pytest.mark.parametrize("owner", [0, 1])
@ensureDeferred
async def test_each_writes_and_both_read(pair, owner):
    account = await owned_by(pair, owner)
    for store in pair:
        mailbox = await store.write(account, inbox_of)
        ids = await store.write(account, file, [mailbox], new_email(1), new_email(2))
        for other in pair:
            found = await other.read(account, lambda r, ids=ids: r.emails(ids, full=True))
            assert found.keys() == set(ids)
    names = await pair[0].accounts()
    assert names == await pair[1].accounts()
    assert account in names.values()


@ensureDeferred
async def test_what_a_write_raises_is_raised(pair):
    account = await owned_by(pair, 0)
    with pytest.raises(NotFound):
        await pair[1].write(account, _destroy_nothing)
    with pytest.raises(AccountNotFound):
        await pair[1].write("nobody", inbox_of)
    with pytest.raises(Exception, match="pickle"):
        await pair[1].write(account, lambda writer: None)


def _destroy_nothing(writer):
    writer.destroy_emails(["M99"])


@ensureDeferred
async def test_accounts_are_furnished_from_anywhere(pair):
    owner = Principal("alice", emails=("alice@example.org",))
    accounts = [Accounts(store) for store in pair]
    ids = [await each.ensure(owner) for each in accounts]
    assert ids[0] == ids[1]
    for store in pair:
        assert len(await store.read(ids[0], lambda r: r.records("Mailbox"))) == 6


@ensureDeferred
async def test_an_older_file_is_brought_up_to_date_by_its_owner(pair):
    account = await owned_by(pair, 0)
    path = pair[0]._path(account)
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    path.touch()  # the oldest there is: an empty one
    assert await pair[1].read(account, lambda r: r.modseq) == 0
    connection = pair[1]._make_account(account).connect(wait=True)
    assert connection.value("PRAGMA user_version") == pair[0]._files.schema.version
    connection.close()


@ensureDeferred
async def test_without_the_owner_reads_go_on(pair, hall):
    account = await owned_by(pair, 0)
    await pair[1].write(account, inbox_of)
    modseq = await pair[1].read(account, lambda r: r.modseq)
    assert modseq > 0
    writing = pair[1].write(account, inbox_of)
    await pair[0].stopService()
    await pair[0]._peers.stopService()
    with suppress(TemporaryFailure):
        await writing
    assert await pair[1].read(account, lambda r: r.modseq) >= modseq

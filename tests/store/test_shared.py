"""A mail store of several processes, as the others see it who own no account."""

from functools import partial

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_twisted import async_yield_fixture, ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.errors import AccountNotFound
from mailhive.model.email import EmailQuery, FilterCondition, SearchText
from mailhive.store.shared import SharedMailStore
from mailhive.store.sqlite import SqliteSettings
from mailhive.testing.conformance.mailstore import MailStoreConformance
from mailhive.testing.conformance.mailstore_machine import MailStoreMachine
from mailhive.testing.conformance.mailstore_samples import file, inbox_of, new_email


class NearPeers:
    """`IPeers` that are all in this process; what is called is not pickled."""

    def __init__(self, index, everybody, owner):
        self.index, self._everybody, self._owner = index, everybody, owner
        self._functions = {}
        everybody.append(self)

    @property
    def count(self):
        return len(self._everybody)

    @property
    def is_office(self):
        return self.index == 0

    def owner(self, account_id):
        return self._owner

    def serve(self, name, function):
        self._functions[name] = function

    def on_join(self, observer):
        """Nobody comes or goes."""

    def call(self, worker, name, *args):
        done = Deferred()
        asked = maybeDeferred(self._everybody[worker]._functions[name], self, *args)
        # As from another process, never at once.
        asked.addBoth(lambda result: reactor.callLater(0, done.callback, result) and None)
        return done

    def tell(self, name, *args):
        for other in self._everybody:
            if other is not self:
                reactor.callLater(0, other._functions[name], self, *args)


@async_yield_fixture
async def stores(tmp_path):
    """Opens three stores on one directory."""
    opened = []

    def open_stores(owner=0, **settings):
        everybody = []
        for index in range(3):
            peers = NearPeers(index, everybody, owner)
            opened.append(SharedMailStore(SqliteSettings(**settings), tmp_path, reactor, peers))
        for store in opened:
            store.startService()
        return opened

    yield open_stores
    for store in reversed(opened):
        await store.stopService()


class TestOfAnother(MailStoreConformance):
    """Accounts that the office owns, used by another worker."""

    @pytest.fixture
    def store(self, stores):
        return stores(owner=0)[1]


@ensureDeferred
async def test_a_read_anywhere_sees_what_was_written_anywhere(stores):
    everybody = stores(owner=2)
    account = await everybody[0].create_account("alice")
    assert await everybody[1].account("alice") == account
    mailbox = await everybody[1].write(account, inbox_of)
    for number in range(30):
        await everybody[number % 3].write(account, file, [mailbox], new_email(number))
        for store in everybody:
            ids = await store.read(account, lambda r: r.email_ids(99))
            assert len(ids) == number + 1


@ensureDeferred
async def test_a_search_finds_what_came_in_last(stores):
    everybody = stores(owner=0)
    account = await everybody[1].create_account("alice")
    mailbox = await everybody[1].write(account, inbox_of)
    query = EmailQuery(FilterCondition((("body", "zebra"),)))
    for number in range(10):
        text = SearchText(subject="s", body="a zebra")
        await everybody[0].write(account, file, [mailbox], new_email(number, search=text))
        assert len((await everybody[1].read(account, lambda r: r.query_emails(query))).ids) == (
            number + 1
        )


@ensureDeferred
async def test_a_search_ends_while_mail_keeps_coming_in(stores):
    everybody = stores(owner=0)
    account = await everybody[1].create_account("alice")
    mailbox = await everybody[1].write(account, inbox_of)
    query = EmailQuery(FilterCondition((("body", "zebra"),)))
    going = True
    count = 0

    async def deliver():
        nonlocal count
        while going:
            text = SearchText(subject="s", body="a zebra")
            await everybody[0].write(account, file, [mailbox], new_email(count, search=text))
            count += 1

    delivering = Deferred.fromCoroutine(deliver())
    for _ in range(10):
        before = count
        page = await everybody[1].read(
            account, lambda r: r.query_emails(query, calculate_total=True)
        )
        assert page.total >= before
    going = False
    await delivering


@ensureDeferred
async def test_everybody_hears_of_each_commit(stores):
    everybody = stores(owner=1)
    heard = [[], [], []]
    for store, changes in zip(everybody, heard, strict=True):
        store.observe(changes.append)
    account = await everybody[0].create_account("alice")
    await everybody[2].write(account, inbox_of)
    while not all(heard):
        await deferLater(reactor, 0.001)
    assert heard[0] == heard[1] == heard[2]
    assert [change.account_id for change in heard[0]] == [account]


@ensureDeferred
async def test_a_deleted_account_is_gone_everywhere(stores, tmp_path):
    everybody = stores(owner=1)
    account = await everybody[0].create_account("alice")
    await gatherResults([store.write(account, inbox_of) for store in everybody])
    await gatherResults([store.read(account, lambda r: r.modseq) for store in everybody])
    await everybody[2].delete_account(account)
    for store in everybody:
        assert await store.account("alice") is None
        with pytest.raises(AccountNotFound):
            await store.read(account, lambda r: r.modseq)
        with pytest.raises(AccountNotFound):
            await store.write(account, inbox_of)
    assert list((tmp_path / "accounts").iterdir()) == []
    assert await everybody[1].create_account("alice") != account


@ensureDeferred
async def test_random_histories_agree_with_the_model(stores, check):
    """Written by one worker, owned by another."""

    class Machine(MailStoreMachine):
        pass

    Machine.store = stores(owner=0)[1]
    Machine.wait = staticmethod(partial(blockingCallFromThread, reactor))
    Machine.check = staticmethod(check)
    amount = settings(max_examples=8, stateful_step_count=20, deadline=None)
    await deferToThread(run_state_machine_as_test, Machine, settings=amount)

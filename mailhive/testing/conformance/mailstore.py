"""What every `IMailStore` does.

class TestMyStore(MailStoreConformance):
    @pytest.fixture
    def store(self): ...          # an open, empty store

Beside it, `mailstore_machine` holds a store to random histories.
"""

import pytest
from pytest_twisted import ensureDeferred  # type: ignore[import-untyped]
from twisted.internet.defer import DeferredList, gatherResults
from zope.interface.verify import verifyObject

from mailhive.errors import AccountNotFound, NotFound
from mailhive.interfaces.mailstore import IMailReader, IMailStore, IMailWriter
from mailhive.model.changes import Changes, StateChange
from mailhive.model.email import EmailQuery, MailboxCounts, SearchText
from mailhive.model.ids import is_id
from mailhive.testing.conformance.mailstore_contents import ContentsConformance
from mailhive.testing.conformance.mailstore_samples import (
    file,
    file_marked,
    inbox_of,
    new_email,
    where,
)

__all__ = ["MailStoreConformance"]


class MailStoreConformance(ContentsConformance):
    """Inherit from this and bring the fixture `store`."""

    # Accounts

    @ensureDeferred
    async def test_provides_the_interfaces(self, store):
        account = await store.create_account("alice")
        assert verifyObject(IMailStore, store)
        assert await store.read(account, lambda r: verifyObject(IMailReader, r))
        assert await store.write(account, lambda w: verifyObject(IMailWriter, w))

    @ensureDeferred
    async def test_an_account_has_one_random_id(self, store):
        assert await store.account("alice") is None
        made = await gatherResults([store.create_account("alice") for _ in range(5)])
        assert len(set(made)) == 1
        other = await store.create_account("bob")
        assert other != made[0]
        assert is_id(other)
        assert other[0].isalpha()
        assert await store.account("alice") == made[0]
        assert await store.accounts() == {"alice": made[0], "bob": other}

    @ensureDeferred
    async def test_an_unknown_account_is_not_found(self, store):
        for strange in ("nobody", "", "../alice", "a\x00"):
            with pytest.raises(AccountNotFound):
                await store.read(strange, lambda r: r.modseq)
            with pytest.raises(AccountNotFound):
                await store.write(strange, inbox_of)

    @ensureDeferred
    async def test_a_deleted_account_is_gone(self, store):
        account = await store.create_account("alice")
        await store.write(account, inbox_of)
        await store.delete_account(account)
        await store.delete_account(account)
        assert await store.account("alice") is None
        with pytest.raises(AccountNotFound):
            await store.read(account, lambda r: r.modseq)
        again = await store.create_account("alice")
        assert again != account
        assert await store.read(again, lambda r: r.records("Mailbox")) == {}

    @ensureDeferred
    async def test_accounts_do_not_see_each_other(self, store):
        accounts = await gatherResults([store.create_account(f"user {n}") for n in range(6)])

        def fill(writer, count):
            return len(file(writer, [inbox_of(writer)], *map(new_email, range(1, count + 1))))

        await gatherResults([store.write(a, fill, n) for n, a in enumerate(accounts, 1)])
        found = await gatherResults([store.read(a, lambda r: r.email_ids(99)) for a in accounts])
        assert list(map(len, found)) == [1, 2, 3, 4, 5, 6]

    # Reads and writes

    @ensureDeferred
    async def test_a_new_account_is_empty(self, store):
        account = await store.create_account("alice")

        def look(reader):
            return (
                reader.modseq,
                reader.state("Email"),
                reader.records("Mailbox"),
                reader.mailbox_counts(),
                reader.email_ids(10),
                reader.storage_usage(),
                reader.upload_usage("ann"),
                reader.changes("Email", 0, None),
            )

        nothing = Changes(0, 0, False, (), (), ())
        assert await store.read(account, look) == (0, 0, {}, {}, (), 0, 0, nothing)

    @ensureDeferred
    async def test_writes_run_in_order_and_return_what_they_return(self, store):
        account = await store.create_account("alice")
        order: list[int] = []

        def note(_writer, number):
            order.append(number)
            return number

        results = await gatherResults([store.write(account, note, n) for n in range(50)])
        assert results == order == list(range(50))

    @ensureDeferred
    async def test_a_read_sees_what_was_written(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)
        assert list(await store.read(account, lambda r: r.records("Mailbox"))) == [mailbox]

    @ensureDeferred
    async def test_a_function_that_raises_leaves_nothing_and_harms_no_other(self, store):
        account = await store.create_account("alice")
        mailbox = await store.write(account, inbox_of)

        def fail(writer):
            file_marked(writer, [mailbox], new_email(99), "$flagged")
            raise KeyError("on purpose")

        jobs = [store.write(account, file, [mailbox], new_email(1))]
        jobs += [store.write(account, fail), store.write(account, file, [mailbox], new_email(2))]
        results = await DeferredList(jobs, consumeErrors=True)
        assert [success for success, _ in results] == [True, False, True]
        assert results[1][1].check(KeyError)
        emails = await store.read(account, lambda r: r.emails(r.email_ids(9)))
        assert {e.blob_id for e in emails.values()} == {"blob1", "blob2"}
        with pytest.raises(KeyError):
            await store.read(account, lambda r: r.emails([])["M1"])

    @ensureDeferred
    async def test_a_writer_reads_its_own_changes(self, store):
        account = await store.create_account("alice")

        def work(writer):
            mailbox = inbox_of(writer)
            before = writer.state("Email"), writer.state("Mailbox")
            email, thread = writer.add_email(
                new_email(search=SearchText(body="owl")), [mailbox], []
            )
            found = writer.query_emails(EmailQuery(where(text="owl")), calculate_total=True)
            assert (found.ids, found.total) == ((email,), 1)
            assert writer.threads([thread]) == {thread: (email,)}
            assert writer.mailbox_counts() == {mailbox: MailboxCounts(1, 1, 1, 1)}
            assert writer.changes("Email", before[0], None).created == (email,)
            assert writer.changes("Mailbox", before[1], None).updated == (mailbox,)
            assert writer.storage_usage() == 101
            assert writer.has_blob("blob1", "ann")
            writer.destroy_emails([email])
            assert writer.emails([email]) == {}
            return writer.modseq

        modseq = await store.write(account, work)
        assert await store.read(account, lambda r: r.modseq) == modseq

    @ensureDeferred
    async def test_observers_hear_of_what_was_committed(self, store):
        account = await store.create_account("alice")
        heard: list[StateChange] = []
        store.observe(heard.append)
        mailbox = await store.write(account, inbox_of)
        await store.write(account, lambda w: w.modseq)
        with pytest.raises(NotFound):
            await store.write(account, lambda w: w.destroy_emails(["M1"]))
        await store.write(account, file, [mailbox], new_email())
        states = await store.read(account, lambda r: r.states())
        assert states.keys() == {"Email", "EmailDelivery", "Mailbox", "Thread"}
        assert await store.read(account, lambda r: {n: r.state(n) for n in states}) == states
        assert heard[0] == StateChange(account, {"Mailbox": 1})
        assert heard[1:] == [StateChange(account, states)]

    @ensureDeferred
    async def test_an_observer_that_fails_harms_no_other(self, store):
        account = await store.create_account("alice")
        heard: list[StateChange] = []

        def fail(_change):
            raise KeyError

        store.observe(fail)
        store.observe(heard.append)
        await store.write(account, inbox_of)
        assert len(heard) == 1

    @ensureDeferred
    async def test_close_finishes_what_was_accepted(self, store):
        account = await store.create_account("alice")
        done: list[str] = []
        for _ in range(20):
            store.write(account, inbox_of).addCallback(done.append)
        await store.close()
        assert len(done) == 20

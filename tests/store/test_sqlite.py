"""The SQLite store: what every store does, and what only it can do wrong."""

import errno
import os
import subprocess
import sys
import time

import apsw
import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.threads import deferToThread

from mailhive.errors import CannotCalculateChanges, TemporaryFailure, UnsupportedFilter
from mailhive.model.email import EmailQuery, FilterCondition
from mailhive.sqlite.connection import Connection
from mailhive.sqlite.migrations import SchemaError
from mailhive.store.errors import DataDirectoryInUse
from mailhive.store.signals import Unbounded
from mailhive.store.sqlite import PROVIDER, SqliteMailStore
from mailhive.testing.conformance.mailstore import MailStoreConformance
from mailhive.testing.conformance.mailstore_samples import file, inbox_of, new_email


class TestSqliteMailStore(MailStoreConformance):
    pass


@ensureDeferred
async def test_everything_is_there_after_a_restart(open_store, check):
    store = open_store()
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 20)))
    before = await store.read(account, lambda r: (r.emails(r.email_ids(99), full=True), r.modseq))
    await store.stopService()
    with pytest.raises(TemporaryFailure):
        await store.read(account, lambda r: r.modseq)
    check(account)
    store = open_store()
    assert await store.account("alice") == account
    assert (
        await store.read(account, lambda r: (r.emails(r.email_ids(99), full=True), r.modseq))
        == before
    )
    await store.stopService()


@ensureDeferred
async def test_a_filter_that_takes_too_long_is_refused(store, monkeypatch):
    monkeypatch.setattr("mailhive.store.account.has_header", lambda *_: time.sleep(0.05) or True)
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 20)))
    query = EmailQuery(FilterCondition((("header", ("x",)),)))
    monkeypatch.setattr("mailhive.store.results._PATIENCE", 0.1)
    with pytest.raises(UnsupportedFilter):
        await store.read(account, lambda r: r.query_emails(query))
    monkeypatch.setattr("mailhive.store.results._PATIENCE", 60.0)
    assert len((await store.read(account, lambda r: r.query_emails(query))).ids) == 19


@ensureDeferred
async def test_long_reads_are_broken_off_at_the_end(store):
    account = await store.create_account("alice")
    running = Deferred()

    def endless(reader):
        if reader.bounded:
            raise Unbounded
        reactor.callFromThread(lambda: running.called or running.callback(None))
        return reader.connection.all(
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
        )

    reads = [store.read(account, endless) for _ in range(5)]
    await running
    await store.stopService()
    for succeeded, failure in await DeferredList(reads, consumeErrors=True):
        assert not succeeded and failure.check(TemporaryFailure)


def test_the_provider_builds_without_touching_the_disk(tmp_path):
    class Context:
        data_dir = tmp_path / "none"
        peers = None

    Context.reactor = reactor
    store = PROVIDER.build(PROVIDER.settings(), Context)
    assert isinstance(store, SqliteMailStore)
    assert not Context.data_dir.exists()


@ensureDeferred
async def test_the_files_are_for_the_owner_only(store, tmp_path):
    account = await store.create_account("alice")
    await store.write(account, inbox_of)
    for path in (tmp_path / "accounts").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "server.sqlite").stat().st_mode & 0o077 == 0


@ensureDeferred
async def test_one_process_owns_the_data_directory(open_store, store, tmp_path):
    program = (
        "import sys; from pathlib import Path; from twisted.internet import reactor\n"
        "from mailhive.store.sqlite import *\n"
        "SqliteMailStore(SqliteSettings(), Path(sys.argv[1]), reactor).startService()"
    )
    done = await deferToThread(
        subprocess.run, [sys.executable, "-c", program, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{tmp_path} is in use by another process" in done.stderr
    with pytest.raises(DataDirectoryInUse):
        open_store()


@ensureDeferred
async def test_idle_accounts_are_closed_and_opened_again(open_store, check):
    store = open_store(open_accounts=3)
    accounts = await gatherResults([store.create_account(f"user {n}") for n in range(10)])
    for _ in range(3):
        boxes = await gatherResults([store.write(account, inbox_of) for account in accounts])
        assert len(boxes) == 10
        for account in accounts:
            await store.read(account, lambda r: r.modseq)
        assert len(store._accounts) <= 10
    await store.read(accounts[0], lambda r: r.modseq)
    assert len(store._accounts) <= 3
    counts = [
        await store.read(account, lambda r: len(r.records("Mailbox"))) for account in accounts
    ]
    assert counts == [3] * 10
    await store.stopService()
    for account in accounts:
        check(account)


@ensureDeferred
async def test_what_no_index_answers_leaves_the_reactor_thread(store):
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 1200)))
    database = store._accounts[account].database
    listed = EmailQuery(FilterCondition((("inMailbox", mailbox),)), (), True)
    sized = EmailQuery(FilterCondition((("minSize", 1),)))
    for bounded in (
        lambda r: r.query_emails(listed, limit=50, calculate_total=True),
        lambda r: r.emails(r.email_ids(128), summary=True),
        lambda r: (r.mailbox_counts(), r.records("Mailbox"), r.changes("Email", 0, 100)),
    ):
        database.read_inline(bounded)
    for unbounded in (
        lambda r: r.query_emails(sized, limit=50),
        lambda r: r.query_emails(listed, position=1000, limit=50),
        lambda r: r.emails(r.email_ids(100), full=True),
        lambda r: r.email_ids(2000),
        lambda r: r.changes("Email", 0, None),
    ):
        with pytest.raises(Unbounded):
            database.read_inline(unbounded)
        await store.read(account, unbounded)
    # Once computed it is at hand.
    assert database.read_inline(
        lambda r: r.query_emails(sized, calculate_total=True, limit=5)
    ).total


@ensureDeferred
async def test_a_failed_commit_fails_its_group_and_no_later_one(store, check):
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)

    def fill_the_disk(writer):
        pages = writer.connection.value("PRAGMA page_count")
        writer.connection.execute(f"PRAGMA max_page_count = {pages}")

    await store.write(account, fill_the_disk)
    big = new_email(2, headers=os.urandom(1_000_000))
    jobs = [
        store.write(account, file, [mailbox], email) for email in (new_email(1), big, new_email(3))
    ]
    results = await DeferredList(jobs, consumeErrors=True)
    failed = [result for success, result in results if not success]
    assert failed
    assert all(failure.check(TemporaryFailure) for failure in failed)
    await store.write(account, file, [mailbox], new_email(4))
    blobs = await store.read(
        account, lambda r: {e.blob_id for e in r.emails(r.email_ids(9)).values()}
    )
    acknowledged = {f"blob{n}" for n, (success, _) in enumerate(results, 1) if success}
    assert blobs == {*acknowledged, "blob4"}
    check(account)


@ensureDeferred
async def test_the_change_log_forgets_the_oldest_deaths(open_store, check):
    store = open_store(change_log_size=3)
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    emails = await store.write(account, file, [mailbox], *map(new_email, range(1, 8)))
    states = [await store.read(account, lambda r: r.state("Email"))]
    for email in emails:
        await store.write(account, lambda w: w.destroy_emails([email]))  # noqa: B023
        states.append(await store.read(account, lambda r: r.state("Email")))
    for since in states[:4]:
        with pytest.raises(CannotCalculateChanges):
            await store.read(account, lambda r: r.changes("Email", since, None))  # noqa: B023
    changes = await store.read(account, lambda r: r.changes("Email", states[4], None))
    assert changes.destroyed == tuple(emails[4:])
    await store.stopService()
    check(account)


@ensureDeferred
async def test_the_change_log_forgets_with_time(open_store):
    store = open_store(change_log_time=0)
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    one, two = await store.write(account, file, [mailbox], new_email(1), new_email(2))
    since = await store.read(account, lambda r: r.state("Email"))
    await store.write(account, lambda w: w.destroy_emails([one]))
    await store.write(account, lambda w: w.connection.execute("UPDATE tombstone SET at = at - 9"))
    await store.write(account, lambda w: w.destroy_emails([two]))
    with pytest.raises(CannotCalculateChanges):
        await store.read(account, lambda r: r.changes("Email", since, None))
    await store.stopService()


@ensureDeferred
async def test_a_file_of_a_newer_version_is_refused(open_store, tmp_path):
    store = open_store()
    account = await store.create_account("alice")
    await store.stopService()
    path = tmp_path / "accounts" / f"{account}.sqlite"
    connection = Connection(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = open_store()
    for call in (store.read, store.write):
        with pytest.raises(TemporaryFailure, match=r"sqlite has version 99 .* up to \d"):
            await call(account, lambda session: session.modseq)
    await store.stopService()
    connection = Connection(tmp_path / "server.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaError, match="version 99 of the server schema"):
        open_store()


@ensureDeferred
async def test_a_missing_file_is_a_failure_not_an_empty_account(open_store, tmp_path):
    store = open_store()
    account = await store.create_account("alice")
    await store.stopService()
    path = tmp_path / "accounts" / f"{account}.sqlite"
    await deferToThread(os.unlink, path)
    store = open_store()
    with pytest.raises(TemporaryFailure, match="is missing"):
        await store.read(account, lambda r: r.modseq)
    assert list((tmp_path / "accounts").iterdir()) == []
    await store.stopService()


@ensureDeferred
async def test_a_deletion_that_was_cut_short_is_completed(open_store, tmp_path):
    store = open_store()
    account = await store.create_account("alice")
    await store._register.doom(account)
    await store.stopService()
    store = open_store()
    assert await store.account("alice") is None
    await store.stopService()
    assert list((tmp_path / "accounts").iterdir()) == []


@ensureDeferred
async def test_text_is_indexed_soon_after(store):
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 200)))
    pending = "SELECT count(*) FROM fts_pending"
    while await store.read(account, lambda r: r.connection.value(pending)):
        await deferToThread(lambda: None)
    assert (
        await store.read(account, lambda r: r.connection.value("SELECT count(*) FROM fts_docsize"))
        == 199
    )


def test_the_installed_sqlite_has_what_the_schema_needs():
    assert "ENABLE_FTS5" in apsw.compile_options


@ensureDeferred
async def test_an_account_that_cannot_be_made_leaves_no_file(open_store, tmp_path, monkeypatch):
    store = open_store()
    await store.create_account("alice")
    before = sorted((tmp_path / "accounts").iterdir())

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(TemporaryFailure, match="No space left"):
            await store.create_account("bob")
    assert sorted((tmp_path / "accounts").iterdir()) == before
    account = await store.create_account("bob")
    assert await store.write(account, inbox_of)
    await store.stopService()

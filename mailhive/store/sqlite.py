"""The embedded mail store: an SQLite file per account, and one for the server.

    data-dir/server.sqlite         names and ids of accounts
    data-dir/accounts/ID.sqlite    everything of one account

An account is opened on a thread when it is first asked for, and stays open
until others were used more recently.
"""

import fcntl
import os
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

from attrs import field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mailhive.config.units import Duration, Size
from mailhive.errors import AccountNotFound, TemporaryFailure
from mailhive.interfaces.mailstore import IMailStore
from mailhive.model.changes import StateChange
from mailhive.registry import Provider
from mailhive.store.account import Account, AccountFiles, create_account_file
from mailhive.store.cache import QueryCache
from mailhive.store.changelog import Life
from mailhive.store.database import Threads
from mailhive.store.errors import DataDirectoryInUse
from mailhive.store.register import Register

__all__ = ["PROVIDER", "SqliteMailStore", "SqliteSettings"]

_log = Logger()


@frozen
class SqliteSettings:
    """Keys of a `[store.NAME]` table of type `sqlite`."""

    open_accounts: int = field(
        default=256,
        metadata={
            "doc": "How many accounts' files are kept open. Each takes 5 to 8 descriptors and 0.1 "
            "to 6 MB of memory; to close one and open it again takes longer than a delivery."
        },
    )
    reader_threads: int = field(
        default=4, metadata={"doc": "Threads for reads that no index answers at once."}
    )
    writer_threads: int = field(
        default=4, metadata={"doc": "Threads for writes; each account is written to by one."}
    )
    page_cache: Size = field(
        default=Size(2_000_000), metadata={"doc": "Cache of each connection to a file."}
    )
    query_cache: Size = field(
        default=Size(64_000_000),
        metadata={"doc": "Memory for the results of queries that no index answers."},
    )
    change_log_time: Duration = field(
        default=Duration(60 * 86_400.0),
        metadata={"doc": "How long a destroyed object stays in the change log."},
    )
    change_log_size: int = field(
        default=100_000,
        metadata={"doc": "How many destroyed objects of a type stay in an account's change log."},
    )


class _DaemonThread(Thread):
    """A thread that does not keep a process alive whose start failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _DaemonThread


@implementer(IMailStore)
class SqliteMailStore(Service):
    """`IMailStore` on the files of a data directory, which it owns while it runs."""

    def __init__(self, settings: SqliteSettings, data_dir: Path, reactor: Any) -> None:
        self._data_dir = data_dir
        self._limit = settings.open_accounts
        self._threads = Threads(
            reactor,
            _Pool(0, settings.reader_threads, "mail store readers"),
            _Pool(0, settings.writer_threads, "mail store writers"),
        )
        self._files = AccountFiles(
            QueryCache(settings.query_cache),
            settings.page_cache,
            Life(settings.change_log_time, settings.change_log_size),
            self._threads,
            self._notify,
        )
        self._register = Register(data_dir / "server.sqlite", self._threads)
        self._accounts: OrderedDict[str, Account] = OrderedDict()  # least recently used first
        self._ids: dict[str, str] = {}  # of names that were asked for
        self._closing: set[Deferred[None]] = set()
        self._observers: list[Callable[[StateChange], None]] = []
        self._lock: int | None = None
        self._open = False

    # IService

    def startService(self) -> None:
        """Take the data directory; blocks.

        `DataDirectoryInUse` when another process has it, `SchemaError` when it
        was written by a newer mailhive.
        """
        folder = self._data_dir / "accounts"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._take_lock()
        try:
            self._register.open_blocking()
        except BaseException:
            self._let_lock_go()
            raise
        self._threads.readers.start()
        self._threads.writers.start()
        self._open = True
        super().startService()
        self._finish_removals()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.close()

    # IMailStore

    def account(self, name: str) -> Deferred[str | None]:
        known = self._ids.get(name)
        if known in self._accounts:  # else it may have been deleted
            return succeed(known)
        return self._at_once(self._look_up, name)

    def create_account(self, name: str) -> Deferred[str]:
        found = self._at_once(self._register.id_of, name)
        return found.addCallback(
            lambda known: known or self._register.create(name, self._make_file)
        )

    def accounts(self) -> Deferred[dict[str, str]]:
        return self._register.names()

    def delete_account(self, account_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._delete_account(account_id))

    def read(self, account_id: str, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        try:
            account = self._account(account_id)
        except Exception:
            return fail(Failure())
        return account.database.read(fn, *args)

    def write(self, account_id: str, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        try:
            account = self._account(account_id)
        except Exception:
            return fail(Failure())
        return account.database.write(fn, *args)

    def observe(self, observer: Callable[[StateChange], None]) -> None:
        self._observers.append(observer)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    # Accounts

    def _look_up(self, name: str) -> str | None:
        account_id = self._register.id_of(name)
        if account_id is not None:
            if len(self._ids) > 2 * self._limit:  # most are not open
                self._ids.clear()
            self._ids[name] = account_id
        return account_id

    def _account(self, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is not None:
            self._accounts.move_to_end(account_id)
            self._close_surplus()
            return account
        if not self._open:
            raise TemporaryFailure("The mail store is not open")
        if not self._register.exists(account_id):
            raise AccountNotFound(f"There is no account {account_id}")
        self._accounts[account_id] = account = self._make_account(account_id)
        account.open().addErrback(self._not_opened, account)
        self._close_surplus()
        return account

    def _make_account(self, account_id: str) -> Account:
        return Account(account_id, self._path(account_id), self._files)

    def _not_opened(self, failure: Failure, account: Account) -> None:
        _log.error(
            "Account {account} cannot be opened: {error}",
            account=account.account_id,
            error=failure.getErrorMessage(),
        )
        if self._accounts.get(account.account_id) is account:
            del self._accounts[account.account_id]

    def _close_surplus(self) -> None:
        """Close the accounts used least recently that have nothing to do."""
        surplus = len(self._accounts) - self._limit
        if surplus > 0:
            others = list(self._accounts)[:-1]
            idle = (key for key in others if self._accounts[key].database.idle)
            for account_id in list(islice(idle, surplus)):
                self._close_account(self._accounts.pop(account_id))

    def _close_account(self, account: Account) -> Deferred[None]:
        closing: Deferred[None] = Deferred.fromCoroutine(account.close())
        self._closing.add(closing)

        def closed(result: None) -> None:
            self._closing.discard(closing)
            return result

        return closing.addBoth(closed)

    async def _delete_account(self, account_id: str) -> None:
        if not self._register.exists(account_id):
            return
        await self._register.doom(account_id)
        await self._let_go(account_id)
        await self._remove(account_id)

    async def _let_go(self, account_id: str) -> None:
        """Close the file of an account that is to be removed."""
        account = self._accounts.pop(account_id, None)
        if account is not None:
            await self._close_account(account)

    def _finish_removals(self) -> None:
        """Go on with those that the last process had begun."""
        for account_id in self._register.doomed():
            self._remove(account_id).addErrback(self._not_removed, account_id)

    def _remove(self, account_id: str) -> Deferred[None]:
        removed = self._threads.write(_unlink, self._path(account_id))
        return removed.addCallback(lambda _: self._register.forget(account_id))

    def _not_removed(self, failure: Failure, account_id: str) -> None:
        _log.error(
            "The file of the deleted account {account} cannot be removed: {error}",
            account=account_id,
            error=failure.getErrorMessage(),
        )

    def _path(self, account_id: str) -> Path:
        return self._data_dir / "accounts" / f"{account_id}.sqlite"

    def _make_file(self, account_id: str) -> None:
        create_account_file(self._path(account_id))

    def _at_once(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if not self._open:
            return fail(TemporaryFailure("The mail store is not open"))
        try:
            return succeed(fn(*args))
        except Exception:
            return fail(Failure())

    def _notify(self, change: StateChange) -> None:
        for observer in self._observers:
            try:
                observer(change)
            except Exception:
                _log.failure("An observer of the mail store failed")

    async def _close(self) -> None:
        if not self._open:
            return
        self._open = False
        for account in self._accounts.values():
            self._close_account(account)
        self._accounts.clear()
        await DeferredList(list(self._closing))
        await self._register.close()
        self._threads.readers.stop()
        self._threads.writers.stop()
        self._let_lock_go()

    def _take_lock(self) -> int | None:
        return take_lock(self._data_dir)

    def _let_lock_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take_lock(data_dir: Path, kind: int = fcntl.LOCK_EX) -> int:
    """A descriptor that keeps other daemons from the data directory until it is closed.

    `DataDirectoryInUse` if one has it already.  With `LOCK_SH` it may be shared.
    """
    path = data_dir / "mailstore.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataDirectoryInUse(
            f"{data_dir} is in use by another process; only one may run on a data directory."
        ) from None
    return descriptor


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for backup in path.parent.glob(path.name + ".v*"):
        backup.unlink(missing_ok=True)


def build(settings: SqliteSettings, context: Any) -> SqliteMailStore:
    """Make the store of `context.data_dir`, driven by `context.reactor`."""
    if context.peers is None:
        return SqliteMailStore(settings, context.data_dir, context.reactor)
    from mailhive.store.shared import SharedMailStore  # which derives from the one above

    return SharedMailStore(settings, context.data_dir, context.reactor, context.peers)


PROVIDER = Provider(settings=SqliteSettings, build=build)

"""The embedded mail store of a daemon of several processes.

All have the files open.  Each account has an owner among them, which makes all of
its writes; accounts are made and removed by the office.
"""

import fcntl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.python.failure import Failure

from mailhive.errors import TemporaryFailure
from mailhive.model.changes import StateChange
from mailhive.store.account import Account
from mailhive.store.replica import ReplicaAccount
from mailhive.store.sqlite import SqliteMailStore, SqliteSettings, take_lock

__all__ = ["SharedMailStore"]


class SharedMailStore(SqliteMailStore):
    """The store of one of `peers` (`IPeers`)."""

    def __init__(self, settings: SqliteSettings, data_dir: Path, reactor: Any, peers: Any) -> None:
        super().__init__(settings, data_dir, reactor)
        self._peers = peers
        self._asked: set[Deferred[Any]] = set()  # others, who have not answered yet
        self._functions: dict[str, Callable[..., Any]] = {
            "open": self._open_for,
            "write": super().write,
            "let_go": self._let_go_here,
            "committed": super()._notify,
            "create": super().create_account,
            "names": super().accounts,
            "delete": super().delete_account,
        }
        for name, function in self._functions.items():
            peers.serve(f"store.{name}", partial(_without_caller, function))

    # IMailStore

    def create_account(self, name: str) -> Deferred[str]:
        found = self.account(name)
        return found.addCallback(lambda known: known or self._call(0, "create", name))

    def accounts(self) -> Deferred[dict[str, str]]:
        return self._call(0, "names")

    def delete_account(self, account_id: str) -> Deferred[None]:
        return self._call(0, "delete", account_id)

    def write(self, account_id: str, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return self._call(self._peers.owner(account_id), "write", account_id, fn, *args)

    def _call(self, worker: int, name: str, *args: Any) -> Deferred[Any]:
        done: Deferred[Any]
        if worker == self._peers.index:
            done = self._functions[name](*args)
        else:
            done = self._peers.call(worker, f"store.{name}", *args)
            self._asked.add(done)
            done.addBoth(self._answered, done)
        return done

    def _answered(self, result: Any, done: Deferred[Any]) -> Any:
        self._asked.discard(done)
        return result

    async def _close(self) -> None:
        await DeferredList(list(self._asked))
        await super()._close()

    # Accounts

    def _make_account(self, account_id: str) -> Account:
        owner = self._peers.owner(account_id)
        if owner == self._peers.index:
            return super()._make_account(account_id)
        return ReplicaAccount(
            account_id,
            self._path(account_id),
            self._files,
            partial(self._call, owner, "open", account_id),
            partial(self.write, account_id),
        )

    def _open_for(self, account_id: str) -> Deferred[None]:
        """Fire when this process, the owner, has opened an account's file."""
        return self.read(account_id, _nothing)

    def _notify(self, change: StateChange) -> None:
        super()._notify(change)
        self._peers.tell("store.committed", change)

    async def _let_go_here(self, account_id: str) -> None:
        await super()._let_go(account_id)

    async def _let_go(self, account_id: str) -> None:
        """Nobody opens it any more, as it is gone from the register."""
        await self._let_go_here(account_id)
        others = [w for w in range(self._peers.count) if w != self._peers.index]
        closed = [self._call(w, "let_go", account_id).addErrback(_is_away) for w in others]
        await gatherResults(closed, consumeErrors=True)

    # Once for all

    def _take_lock(self) -> int:
        """Among the workers it is shared; the supervisor sees to it that no others are there."""
        return take_lock(self._data_dir, fcntl.LOCK_SH)

    def _finish_removals(self) -> None:
        if self._peers.is_office:
            super()._finish_removals()


def _without_caller(function: Callable[..., Any], _: object, *args: Any) -> Any:
    return function(*args)


def _nothing(_: object) -> None:
    pass


def _is_away(failure: Failure) -> None:
    """Who has ended has closed its files."""
    failure.trap(TemporaryFailure)

"""Deleting the mail of principals that were removed from the directory."""

from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailhive.errors import MailhiveError

__all__ = ["INTERVAL", "MailRemoval"]

#: Seconds between looks at the directory.
INTERVAL = 2.0


@define(eq=False)
class MailRemoval(Service):
    """Looks for removals at the start and every few seconds.

    A removal is done when the account is found gone, which the next look tells:
    a delivery that was under way may have made the account anew.
    """

    directory: Any  # IRemovals
    store: Any  # IMailStore
    clock: Any  # IReactorTime
    _loop: LoopingCall = field(init=False)
    _looking: Deferred[None] | None = field(default=None, init=False)
    _log = Logger()

    def startService(self) -> None:
        super().startService()
        self._loop = LoopingCall(self._begin)
        self._loop.clock = self.clock
        self._loop.start(INTERVAL)

    def stopService(self) -> Deferred[None] | None:
        """Stop looking; fires when the last look has ended."""
        super().stopService()
        self._loop.stop()
        return self._looking

    def _begin(self) -> Deferred[None]:
        looking = self._looking = ensureDeferred(self.look())
        return looking

    async def look(self) -> None:
        """Delete the accounts of those that were removed."""
        try:
            for name in await self.directory.removals():
                account_id = await self.store.account(name)
                if account_id is None:
                    await self.directory.removed(name)
                else:
                    await self.store.delete_account(account_id)
                    self._log.info("Deleted the mail of {name!r}, who was removed", name=name)
        except MailhiveError as error:
            self._log.warn("Cannot delete mail of who was removed: {why}", why=str(error))
        except Exception:  # the next look may be luckier
            self._log.failure("Deleting mail of who was removed failed")

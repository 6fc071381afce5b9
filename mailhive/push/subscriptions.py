"""Web Push: the subscriptions of all users, and a courier for each (RFC 8620 §7.2).

What is durable is in one file of the data directory: the subscriptions, how far
each subscriber has been told, and when to try again whom could not be told.
"""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.config.web_push import JmapWebPush
from mailhive.fetch.guard import Guard
from mailhive.fetch.url import parse_url
from mailhive.interfaces.webpush import IPushSubscriptions
from mailhive.mail.provision import Accounts
from mailhive.model.principal import Principal
from mailhive.push.courier import Courier, Depot
from mailhive.push.editor import Creations, Editor
from mailhive.push.hub import PushHub
from mailhive.push.ledger import FILE, Ledger, open_ledger
from mailhive.push.pacing import Pacing
from mailhive.push.vapid import Signer, load_signer
from mailhive.sqlite.thread import FileThread

__all__ = ["KEY_FILE", "PushSubscriptions"]

#: In the data directory: the key that pushes are signed by.
KEY_FILE = "vapid.pem"
#: Seconds within which every subscription is looked at, whether its user and time
#: still hold.
ROUND = 60
#: Seconds that requests have to end when the daemon stops.
_DRAIN = 2.0

T = TypeVar("T")


@implementer(IPushSubscriptions)
class PushSubscriptions(Service):
    """`IPushSubscriptions` in `data_dir`.

    `guard` is that of `fetcher`, or None.  `contact` is a URI by which operators of
    push services find those of this server.  `clock` and `chance` are there for
    tests.
    """

    _log = Logger()

    def __init__(
        self,
        data_dir: Path,
        settings: JmapWebPush,
        *,
        hub: PushHub,
        fetcher: Any,
        guard: Guard | None,
        accounts: Accounts,
        directory: Any,
        contact: str,
        reactor: Any,
        clock: Any = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.max_life = int(settings.max_life * 1000)
        self._data_dir = data_dir
        self._most = settings.max_per_user
        self._pacing = Pacing(int(settings.throttle * 1000), int(settings.retry * 1000), chance)
        self._guard = guard
        self._contact = contact
        self._reactor = reactor
        self._clock = clock or reactor
        self._file: FileThread[Ledger] = FileThread("push subscriptions", reactor)
        self._creations = Creations()
        self._signer: Signer | None = None
        self._depot: Depot | None = None
        self._make_depot = partial(
            Depot,
            run=self._file.run,
            hub=hub,
            fetcher=fetcher,
            accounts=accounts,
            directory=directory,
            pacing=self._pacing,
            clock=self._clock,
            ended=self._forget,
        )
        self._couriers: dict[str, Courier] = {}
        self._rounds = LoopingCall(self._look_at_some)
        self._turn = 0

    @property
    def application_server_key(self) -> str:
        assert self._signer is not None, "not started"
        return self._signer.public_key

    # IService

    def startService(self) -> None:
        """Open the file and the key, made if there are none; blocks.

        `SchemaError` for a file of a newer mailhive, `KeyFileError`, or OSError.
        """
        self._signer = load_signer(self._data_dir / KEY_FILE, self._contact)
        ledger = self._file.open(self._data_dir / FILE, open_ledger)
        if removed := ledger.remove_others(self._signer.public_key):
            self._log.warn(
                "{key} is another key than before: {count} push subscriptions are destroyed",
                key=KEY_FILE,
                count=removed,
            )
        self._depot = self._make_depot(signer=self._signer)
        super().startService()
        for subscription_id in ledger.ids():
            self._nudge(subscription_id)
        self._rounds.clock = self._clock
        self._rounds.start(1.0, now=False)

    def stopService(self) -> Deferred[None]:
        """Begin nothing more; what is not answered soon is pushed again after the next start."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._rounds.running:
            self._rounds.stop()
        working = [work for c in self._couriers.values() if (work := c.end()) is not None]
        self._couriers.clear()
        if working:
            await DeferredList(working).addTimeout(_DRAIN, self._reactor)
        await self._file.close()

    # IPushSubscriptions

    def refusal(self, url: str) -> str | None:
        try:
            target = parse_url(url)
        except ValueError as error:
            return str(error)
        return None if self._guard is None else self._guard.refuses_target(target)

    def edit(self, principal: Principal, fn: Callable[[Any], T]) -> Deferred[T]:
        return Deferred.fromCoroutine(self._edit(principal, fn))

    async def _edit(self, principal: Principal, fn: Callable[[Any], T]) -> T:
        now = int(self._clock.seconds() * 1000)
        result: T
        result, touched = await self._file.run(self._edit_on_thread, principal, now, fn)
        for subscription_id in touched:
            self._nudge(subscription_id)
        return result

    def _edit_on_thread(
        self, ledger: Ledger, principal: Principal, now: int, fn: Callable[[Any], T]
    ) -> tuple[T, set[str]]:
        editor = Editor(
            principal,
            now,
            ledger,
            self._creations,
            most=self._most,
            signer=self.application_server_key,
            throttle=self._pacing.throttle,
        )
        with ledger.connection.transaction("IMMEDIATE"):
            result = fn(editor)
        if editor.removed:
            ledger.erase()
        return result, editor.touched

    # Couriers

    def _nudge(self, subscription_id: str) -> None:
        if self._depot is None or not self.running:
            return
        courier = self._couriers.get(subscription_id)
        if courier is None:
            courier = self._couriers[subscription_id] = Courier(subscription_id, self._depot)
        courier.nudge()

    def _forget(self, subscription_id: str) -> None:
        courier = self._couriers.pop(subscription_id, None)
        if courier is not None:
            courier.end()

    def _look_at_some(self) -> None:
        """Each second some, so that nobody waits behind all."""
        self._turn = (self._turn + 1) % ROUND
        for courier in list(self._couriers.values())[self._turn :: ROUND]:
            courier.nudge()

"""The server's side of Web Push in the process, with a clock that tests turn.

    pusher = Pusher.of(stores, directory, service)
    subscription_id = await pusher.subscribe(user)
    pusher.clock.advance(60)
    await pusher.stop()

`service` is a `testing.web_push.PushService`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import Clock, deferLater

from mailhive.config.web_push import JmapWebPush
from mailhive.fetch.client import Fetcher
from mailhive.jmap.registry import Registry
from mailhive.push.hub import PushHub
from mailhive.push.ledger import FILE, Entry, open_ledger
from mailhive.push.subscriptions import PushSubscriptions
from mailhive.sqlite.connection import Connection
from mailhive.testing.certificates import Pem
from mailhive.testing.local import LocalStores, LocalUser
from mailhive.testing.web_push import Push, PushService, Subscriber

__all__ = ["Pusher", "read"]


def read(push: Push, subscriber: Subscriber | None = None) -> Any:
    """The object that was pushed."""
    if subscriber is not None:
        return subscriber.read(push.headers, push.body)
    assert push.headers["content-type"] == "application/json"
    return json.loads(push.body)


@define
class Pusher:
    """`PushSubscriptions` of local stores, in a directory of their own.

    They trust the certificate `pem`; requests take `timeout` seconds of the reactor's
    at most.
    """

    stores: LocalStores
    directory: Path
    service: PushService
    pem: Pem
    settings: JmapWebPush = field(factory=JmapWebPush)
    timeout: float = 30.0
    clock: Clock = field(factory=Clock)
    push: PushSubscriptions = field(init=False)
    _fetcher: Fetcher = field(init=False)

    @property
    def reactor(self) -> Any:
        return self.stores.context.reactor

    def start(self) -> None:
        """Begin, or begin again with what is in the directory."""
        if not self.clock.seconds():
            self.clock.advance(int(self.reactor.seconds()))
        trusted = trustRootFromCertificates([Certificate.loadPEM(self.pem.certificate)])
        self._fetcher = Fetcher(self.reactor, timeout=self.timeout, trust_root=trusted)
        self.push = PushSubscriptions(
            self.directory,
            self.settings,
            hub=PushHub(self.stores.mail_store, Registry.load().push_types, self.reactor),
            fetcher=self._fetcher,
            guard=None,
            accounts=self.stores.accounts,
            directory=self.stores.directory,
            contact="mailto:postmaster@example.org",
            reactor=self.reactor,
            clock=self.clock,
            chance=lambda: 0.0,
        )
        self.push.startService()

    async def stop(self) -> None:
        """End as the daemon does."""
        await gatherResults([self.push.stopService(), self._fetcher.close()])

    async def crash(self) -> None:
        """End in the midst of whatever is under way, of which nothing more is written down."""
        self.push.running = 0
        self.push._rounds.stop()
        for courier in self.push._couriers.values():
            work = courier.end()
            if work is not None:
                work.cancel()
        await gatherResults(
            [Deferred.fromCoroutine(self.push._file.close()), self._fetcher.close()]
        )

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that happens by itself; AssertionError when it does not."""
        deadline = self.reactor.seconds() + 120
        while not condition():
            assert self.reactor.seconds() < deadline, "it does not happen"
            await deferLater(self.reactor, 0.01)

    async def rest(self) -> None:
        """Wait until what is under way has ended, and is written down."""
        await self.until(lambda: not any(c._busy for c in self.push._couriers.values()))

    def known_to(self, user: LocalUser) -> LocalUser:
        """The user, whose push subscriptions are these, at the time of the clock."""
        api = evolve(user.api, push=self.push, now=lambda: int(self.clock.seconds() * 1000))
        return evolve(user, api=api)

    def entries(self) -> list[Entry]:
        """What is written down."""
        connection = Connection(self.directory / FILE)
        try:
            return open_ledger(connection).entries()
        finally:
            connection.close()

    def entry(self) -> Entry:
        """The only one."""
        [entry] = self.entries()
        return entry

    async def subscribe(
        self, user: LocalUser, subscriber: Subscriber | None = None, **properties: Any
    ) -> str:
        """Create a subscription and verify it; its id."""
        wanted = {
            "deviceClientId": "phone",
            "url": self.service.url("phone"),
            "keys": subscriber and subscriber.keys,
            **properties,
        }
        known = self.known_to(user)
        set_ = await known.call("PushSubscription/set", create={"p": wanted})
        subscription_id: str = set_["created"]["p"]["id"]
        sent = read(await self.service.next(), subscriber)
        assert sent["pushSubscriptionId"] == subscription_id
        await self.until(lambda: not any(entry.is_new for entry in self.entries()))
        code = {"verificationCode": sent["verificationCode"]}
        set_ = await known.call("PushSubscription/set", update={subscription_id: code})
        assert set_["updated"] == {subscription_id: None}
        return subscription_id

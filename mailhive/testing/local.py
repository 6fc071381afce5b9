"""A JMAP server in the process, without a network: the real stores in a directory.

stores = LocalStores.start(Path("data"), reactor)
alice = await stores.user(Principal("alice"))
await alice.call("Mailbox/get")
await stores.stop()
"""

import json
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThreadPool

from mailhive.blobs import fs
from mailhive.config.relay import QueueSettings
from mailhive.config.web_push import JmapWebPush
from mailhive.fetch.client import Fetcher
from mailhive.jmap.api import JmapApi
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Registry
from mailhive.jmap.session import SessionUrls
from mailhive.jmap.types.submission.records import Submissions
from mailhive.mail.blobs import BlobAccess
from mailhive.mail.delivery import LocalDelivery
from mailhive.mail.membership import as_of_now
from mailhive.mail.provision import Accounts
from mailhive.mail.reports import ReportReader
from mailhive.mail.sending_rates import SendingRates
from mailhive.model.principal import Principal
from mailhive.push.hub import PushHub
from mailhive.push.subscriptions import PushSubscriptions
from mailhive.queue.ledger import FILE
from mailhive.queue.local import LocalTransport
from mailhive.queue.outbox import Outbox
from mailhive.services import BuildContext
from mailhive.store import sqlite
from mailhive.testing.directory import GrowingDirectory

__all__ = ["LocalStores", "LocalUser"]

URLS = SessionUrls(
    "http://localhost/api",
    "http://localhost/d",
    "http://localhost/u",
    "http://localhost/e",
    "ws://localhost/ws",
    "http://localhost/t",
    60,
)


@define
class LocalStores:
    """An SQLite mail store, a file-based blob store, a directory of who uses them, an outbox.

    And push subscriptions, whose URLs may lead anywhere.

    `clock` is there for tests that wait for mail to be sent later.
    `failures` collects the exceptions that methods answered with serverFail.
    """

    context: BuildContext
    mail_store: Any
    blob_store: Any
    accounts: Accounts
    directory: GrowingDirectory
    delivery: LocalDelivery
    outbox: Outbox
    push: PushSubscriptions
    clock: Any
    failures: list[tuple[str, Exception]] = field(factory=list)

    @classmethod
    def start(cls, directory: Path, reactor: Any, clock: Any = None) -> "LocalStores":
        """Open the stores in a directory, which need not be empty."""
        clock = clock or reactor

        def offload(function: Any, *args: Any) -> Any:
            return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args)

        context = BuildContext(reactor, directory, offload)
        mail_store = sqlite.build(sqlite.SqliteSettings(), context)
        blob_store = fs.build(fs.FsSettings(), context)
        submissions = Submissions(mail_store)
        outbox = Outbox(directory / FILE, submissions, reactor, clock)
        known = GrowingDirectory(offload, reactor.seconds)
        accounts = Accounts(mail_store)

        def now() -> int:
            return int(reactor.seconds() * 1000)

        reports = ReportReader(submissions, blob_store)
        delivery = LocalDelivery(known, accounts, blob_store, offload, now, (reports,))
        push = PushSubscriptions(
            directory,
            JmapWebPush(),
            hub=PushHub(mail_store, Registry.load().push_types, reactor),
            fetcher=Fetcher(reactor),
            guard=None,
            accounts=accounts,
            directory=known,
            contact="mailto:postmaster@mail.example.org",
            reactor=reactor,
        )
        started = cls(
            context, mail_store, blob_store, accounts, known, delivery, outbox, push, clock
        )
        outbox.add_transport(LocalTransport(known, delivery, blob_store))
        for service in (mail_store, blob_store, outbox, push):
            IService(service).startService()
        return started

    async def stop(self) -> None:
        """Close the stores."""
        for service in (self.push, self.outbox, self.mail_store, self.blob_store):
            await maybeDeferred(IService(service).stopService)

    def now(self) -> int:
        """The time in milliseconds."""
        return int(self.clock.seconds() * 1000)

    async def user(
        self,
        principal: Principal,
        limits: Limits | None = None,
        sending: QueueSettings | None = None,
    ) -> "LocalUser":
        """A user of the server, with an account.  Groups are put into `directory`."""
        self.directory.put(principal)
        api = JmapApi(
            registry=Registry.load(),
            limits=limits or Limits(),
            store=self.mail_store,
            blobs=BlobAccess(self.blob_store, self.mail_store, self.context.offload),
            analyses=self.delivery.analyses,
            accounts=self.accounts,
            directory=self.directory,
            delivery=self.delivery,
            outbox=self.outbox,
            sending=SendingRates(sending or QueueSettings(), self.clock.seconds),
            push=self.push,
            hostname="mail.example.org",
            offload=self.context.offload,
            now=self.now,
            on_failure=lambda method, error: self.failures.append((method, error)),
        )
        return LocalUser(api, principal, await self.accounts.ensure(principal))


@define
class LocalUser:
    """One principal's hand on the server."""

    api: JmapApi
    principal: Principal
    account_id: str

    async def shared(self, group: str) -> "LocalUser":
        """The same principal, for whom the account of a group is the one to use."""
        accounts = (await self.session())["accounts"]
        [account_id] = [i for i, account in accounts.items() if account["name"] == group]
        return evolve(self, account_id=account_id)

    async def session(self) -> dict[str, Any]:
        """The Session object."""
        principal = await as_of_now(self.api.directory, self.principal)
        session: dict[str, Any] = json.loads(await self.api.session(principal, URLS))
        return session

    async def request(self, *calls: Any, **extra: Any) -> dict[str, Any]:
        """Send method calls as they are, using all capabilities; the Response object."""
        body = {"using": [*self.api.registry.capabilities], "methodCalls": calls, **extra}
        principal = await as_of_now(self.api.directory, self.principal)
        reply = await self.api.handle(principal, json.dumps(body).encode())
        response: dict[str, Any] = json.loads(reply.body)
        return response

    async def call(self, method: str, /, **arguments: Any) -> dict[str, Any]:
        """One call in one's own account; its arguments, or `{"error": …}`."""
        arguments = {"accountId": self.account_id, **arguments}
        response = await self.request([method, arguments, "c"])
        name, result, _ = response["methodResponses"][0]
        return {"error": result} if name == "error" else result

    async def store_blob(self, data: bytes) -> str:
        """The id of a durable blob that no account refers to yet."""
        writer = self.api.blobs.blob_store.open_writer()
        writer.write(data)
        blob_id: str = await writer.commit()
        return blob_id

    async def upload(self, data: bytes, media_type: str = "message/rfc822") -> str:
        """The blob id of an upload; `RequestError` 403 or 404 where they may not."""
        await self.api.may_upload(self.principal, self.account_id)
        writer = self.api.blobs.blob_store.open_writer()
        writer.write(data)
        uploaded = await self.api.upload(self.principal, self.account_id, writer, media_type)
        blob_id: str = json.loads(uploaded)["blobId"]
        return blob_id

    async def download(self, blob_id: str) -> bytes:
        """The octets of a blob; `RequestError` 404 if there is none."""
        blob = await self.api.blob(self.principal, self.account_id, blob_id)
        return await blob.read()

    async def role(self, role: str) -> str:
        """The id of the mailbox with a role."""
        found = await self.call("Mailbox/query", filter={"role": role})
        mailbox_id: str = found["ids"][0]
        return mailbox_id

    async def add(self, message: bytes, role: str = "inbox", **properties: Any) -> str:
        """Import a message into the mailbox with a role; its email id."""
        email = {
            "blobId": await self.upload(message),
            "mailboxIds": {await self.role(role): True},
            **properties,
        }
        result = await self.call("Email/import", emails={"e": email})
        email_id: str = result["created"]["e"]["id"]
        return email_id

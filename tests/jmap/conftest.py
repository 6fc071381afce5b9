"""A JMAP server without HTTP: the real stores, in a directory of the test."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted
from attrs import define, field
from twisted.application.service import IService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread

from mailhive.app import BuildContext
from mailhive.blobs import fs
from mailhive.jmap.api import JmapApi
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Registry
from mailhive.jmap.session import SessionUrls
from mailhive.mail.blobs import BlobAccess
from mailhive.mail.provision import Accounts
from mailhive.model.principal import Principal
from mailhive.store import sqlite

ALICE = Principal("alice", emails=("alice@example.org",))
BOB = Principal("bob", emails=("bob@example.org",))
USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
URLS = SessionUrls("a", "d", "u", "e")


@define
class Server:
    """A `JmapApi` and the hand to use it with."""

    api: JmapApi
    principal: Principal = ALICE
    failures: list[tuple[str, Exception]] = field(factory=list)
    account_id: str = ""

    async def request(self, *calls: Any, **extra: Any) -> dict[str, Any]:
        """Send method calls as they are; the Response object."""
        body = {"using": USING, "methodCalls": calls, **extra}
        reply = await self.api.handle(self.principal, json.dumps(body).encode())
        response: dict[str, Any] = json.loads(reply.body)
        return response

    async def call(self, method: str, /, **arguments: Any) -> dict[str, Any]:
        """One call in one's own account; its arguments, or `{"error": …}`."""
        arguments = {"accountId": self.account_id, **arguments}
        response = await self.request([method, arguments, "c"])
        name, result, _ = response["methodResponses"][0]
        assert name in (method, "error")
        return {"error": result} if name == "error" else result

    async def upload(self, data: bytes, media_type: str = "message/rfc822") -> str:
        """The blob id of an upload."""
        writer = self.api.blobs.blob_store.open_writer()
        writer.write(data)
        blob_id: str = await writer.commit()
        await self.api.upload(self.principal, self.account_id, blob_id, media_type, len(data))
        return blob_id

    async def role(self, role: str) -> str:
        """The id of the mailbox with a role."""
        found = await self.call("Mailbox/query", filter={"role": role})
        mailbox_id: str = found["ids"][0]
        return mailbox_id

    async def add(self, message: bytes, role: str = "inbox", **import_: Any) -> str:
        """Import a message; its email id."""
        blob_id = await self.upload(message)
        mailbox_ids = {await self.role(role): True}
        email = {"blobId": blob_id, "mailboxIds": mailbox_ids, **import_}
        result = await self.call("Email/import", emails={"e": email})
        email_id: str = result["created"]["e"]["id"]
        return email_id


@define
class Stores:
    """The providers of a test, started."""

    context: BuildContext
    mail_store: Any
    blob_store: Any
    failures: list[tuple[str, Exception]] = field(factory=list)

    def server(self, limits: Limits, principal: Principal = ALICE) -> Server:
        api = JmapApi(
            registry=Registry.load(),
            limits=limits,
            store=self.mail_store,
            blobs=BlobAccess(self.blob_store, self.mail_store, self.context.offload),
            accounts=Accounts(self.mail_store),
            hostname="mail.example.org",
            offload=self.context.offload,
            now=lambda: int(reactor.seconds() * 1000),  # type: ignore[attr-defined]
            on_failure=lambda method, error: self.failures.append((method, error)),
        )
        return Server(api, principal)


def _offload(function: Any, *args: Any) -> Deferred[Any]:
    return deferToThread(function, *args)


@pytest_twisted.async_yield_fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    context = BuildContext(reactor, tmp_path, _offload)
    made = Stores(
        context,
        sqlite.build(sqlite.SqliteSettings(), context),
        fs.build(fs.FsSettings(), context),
    )
    services = [IService(made.mail_store), IService(made.blob_store)]
    for service in services:
        service.startService()
    yield made
    for service in services:
        await maybeDeferred(service.stopService)
    # A method that failed by a fault of ours fails the test.
    assert made.failures == []


@pytest_twisted.async_yield_fixture
async def server(stores: Stores) -> AsyncIterator[Server]:
    made = stores.server(Limits())
    session = json.loads(await made.api.session(ALICE, URLS))
    made.account_id = next(iter(session["accounts"]))
    yield made

"""Submitted mail to recipients of this server, through the real delivery and stores."""

from typing import Any

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailhive.interfaces.outbox import ITransport
from mailhive.mail.delivery import LocalDelivery
from mailhive.model.envelope import Envelope
from mailhive.model.principal import Principal
from mailhive.queue.local import LocalTransport

MESSAGE = b"Received: by x\r\nFrom: alice@example.org\r\nSubject: s\r\n\r\nbody\r\n"


@pytest.fixture
def transport(stores: Any) -> LocalTransport:
    delivery = LocalDelivery(
        stores.directory, stores.accounts, stores.blob_store, stores.context.offload, stores.now
    )
    return LocalTransport(stores.directory, delivery, stores.blob_store)


async def store_blob(stores: Any, content: bytes) -> str:
    writer = stores.blob_store.open_writer()
    writer.write(content)
    blob_id: str = await writer.commit()
    return blob_id


async def mail_of(user: Any) -> list[bytes]:
    ids = (await user.call("Email/query"))["ids"]
    emails = (await user.call("Email/get", ids=ids, properties=["blobId"]))["list"]
    return [await user.download(email["blobId"]) for email in emails]


@pytest_twisted.ensureDeferred
async def test_takes_what_is_for_a_domain_of_the_directory(stores, server, transport) -> None:
    assert verifyObject(ITransport, transport)
    for address, taken in {
        "alice@example.org": True,
        "nobody@EXAMPLE.org": True,
        "alice@example.com": False,
        "alice": False,
    }.items():
        assert await transport.destination(address) == ("here" if taken else None)


@pytest_twisted.ensureDeferred
async def test_delivers_with_a_return_path(stores, server, transport) -> None:
    blob_id = await store_blob(stores, MESSAGE)
    outcomes = await transport.deliver(Envelope("", ("alice@example.org",)), blob_id)
    assert [(o.recipient, o.code) for o in outcomes] == [("alice@example.org", 250)]
    assert await mail_of(server) == [b"Return-Path: <>\r\n" + MESSAGE]


@pytest_twisted.ensureDeferred
async def test_each_recipient_has_an_outcome_of_its_own(stores, server, transport) -> None:
    full = await stores.user(Principal("full", emails=("full@example.org",), quota=10))
    recipients = (
        "nobody@example.org",
        "full@example.org",
        "alice@example.org",
        "alice+tag@example.org",
    )
    blob_id = await store_blob(stores, MESSAGE)
    outcomes = await transport.deliver(Envelope("alice@example.org", recipients), blob_id)
    assert [(o.recipient, o.code, o.enhanced) for o in outcomes] == [
        ("nobody@example.org", 550, "5.1.1"),
        ("full@example.org", 452, "4.2.2"),
        ("alice@example.org", 250, "2.1.5"),
        ("alice+tag@example.org", 250, "2.1.5"),
    ]
    assert await mail_of(full) == []


@pytest_twisted.ensureDeferred
async def test_who_has_two_addresses_gets_it_once(stores, server, transport) -> None:
    blob_id = await store_blob(stores, MESSAGE)
    recipients = ("alice@example.org", "alice+tag@example.org")
    outcomes = await transport.deliver(Envelope("a@b.example", recipients), blob_id)
    assert [outcome.code for outcome in outcomes] == [250, 250]
    assert len(await mail_of(server)) == 1

"""Mail for postmaster."""

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogPublisher

from mailhive.mail.delivery import LocalDelivery
from mailhive.mail.postmaster import Postmaster
from mailhive.model.principal import Principal
from mailhive.queue.local import LocalTransport

HOST = "mail.example.org"
ALICE, BOB, CAROL = Principal("alice"), Principal("bob"), Principal("carol")


class Addresses:
    """As much of a directory as is asked: principals by address."""

    def __init__(self, **by_address: Principal) -> None:
        self._found = {key.replace("_", "@", 1): (one,) for key, one in by_address.items()}

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return succeed(self._found.get(address.lower(), ()))

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return succeed(domain in ("example.org", "example.net"))


OWN = Addresses(**{"postmaster_example.org": ALICE, "bob_example.net": BOB})


@pytest.mark.parametrize(
    ("address", "setting", "found"),
    [
        ("postmaster@example.org", None, ALICE),
        ("postmaster@example.org", "bob@example.net", ALICE),  # who has it, has it
        ("Postmaster@mail.example.org", None, ALICE),
        ("POSTMASTER@EXAMPLE.NET", None, ALICE),
        ("postmaster@mail.example.org", "bob@example.net", BOB),
        ("postmaster@example.net", "bob@example.net", BOB),
        ("postmaster@example.net", "nobody@example.net", None),
        ("postmaster@example.com", "bob@example.net", None),
        ("abuse@example.net", "bob@example.net", None),
        ("mail.example.org", "bob@example.net", None),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_gets_it(address: str, setting: str | None, found: Principal | None) -> None:
    postmaster = Postmaster(OWN, HOST, setting)
    assert await postmaster.recipients(address) == (() if found is None else (found,))


@pytest_twisted.ensureDeferred
async def test_delivery_takes_it(stores: Any) -> None:
    postmaster = Postmaster(OWN, HOST)
    delivery = LocalDelivery(
        OWN,
        stores.accounts,
        stores.blob_store,
        stores.context.offload,
        stores.now,
        postmaster=postmaster,
    )
    assert await delivery.check_recipient(f"postmaster@{HOST}") is None
    refusal = await delivery.check_recipient(f"nobody@{HOST}")
    assert refusal is not None and refusal.code == 550
    transport = LocalTransport(OWN, delivery, stores.blob_store, postmaster)
    assert await transport.destination(f"Postmaster@{HOST.upper()}") == "here"
    assert await transport.destination(f"nobody@{HOST}") is None


@pytest.mark.parametrize(("directory", "told"), [(OWN, 0), (Addresses(), 1)])
def test_that_nobody_gets_it_is_told(directory: Addresses, told: int) -> None:
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    postmaster = Postmaster(directory, HOST)
    postmaster.startService()
    globalLogPublisher.removeObserver(events.append)
    warnings = [event for event in events if event["log_level"].name == "warn"]
    assert [event["address"] for event in warnings] == [f"postmaster@{HOST}"] * told

"""Alice, who sends, and Bob, who is another user of the same server."""

from collections.abc import AsyncIterator

import pytest_twisted

from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import Sender


@pytest_twisted.async_yield_fixture
async def bob(stores: LocalStores) -> AsyncIterator[Sender]:
    yield await Sender.of(stores, Principal("bob", emails=("bob@example.org",)))


@pytest_twisted.async_yield_fixture
async def alice(stores: LocalStores, bob: Sender) -> AsyncIterator[Sender]:
    emails = ("alice@example.org", "al@example.org")
    yield await Sender.of(stores, Principal("alice", emails=emails))

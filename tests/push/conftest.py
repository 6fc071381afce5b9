"""A push service, and the server's side of Web Push."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from mailhive.testing.certificates import make_certificate
from mailhive.testing.local import LocalStores
from mailhive.testing.pusher import Pusher
from mailhive.testing.web_push import PushService

PEM = make_certificate("localhost")


@pytest_twisted.async_yield_fixture
async def service() -> AsyncIterator[PushService]:
    """A push service whose certificate the pusher trusts."""
    listening = PushService.listen(reactor, PEM)
    yield listening
    await listening.stop()


@pytest_twisted.async_yield_fixture
async def pusher(
    stores: LocalStores, service: PushService, tmp_path: Path
) -> AsyncIterator[Pusher]:
    """Web Push of the stores."""
    directory = tmp_path / "push"
    directory.mkdir()
    started = Pusher(stores, directory, service, PEM)
    started.start()
    yield started
    await started.stop()

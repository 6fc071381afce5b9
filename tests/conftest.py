"""What every test shares: a settled amount of hypothesis work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet import reactor

from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

settings.register_profile(
    "default",
    max_examples=60,
    derandomize=True,  # what holds once holds the next time
    deadline=None,  # no test depends on how fast a machine is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
#: Other examples each time: `pytest --hypothesis-profile=random`.
settings.register_profile("random", settings.get_profile("default"), derandomize=False)
settings.load_profile("default")


@pytest_twisted.async_yield_fixture
async def stores(tmp_path: Path) -> AsyncIterator[LocalStores]:
    """The real stores, in a directory of the test."""
    started = LocalStores.start(tmp_path, reactor)
    yield started
    await started.stop()
    assert started.failures == []  # what a method does wrong fails the test


@pytest_twisted.async_yield_fixture
async def server(stores: LocalStores) -> AsyncIterator[LocalUser]:
    """A user of them."""
    yield await stores.user(Principal("alice", emails=("alice@example.org",)))

"""Order of starting and stopping, and what stands in the way of it."""

from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from mailhive.daemon import DRAIN_TIMEOUT, Daemon, ListenerService, StartError, as_service
from mailhive.errors import MailhiveError


class Reporter(Service):
    """A service that tells when it is started and stopped."""

    def __init__(self, name: str, events: list[str], stopping: Deferred[None] | None = None):
        self.name, self.events, self.stopping = name, events, stopping

    def startService(self) -> None:
        self.events.append(f"+{self.name}")

    def stopService(self) -> Deferred[None] | None:
        self.events.append(f"-{self.name}")
        return self.stopping


class Opened:
    """A provider that is no service."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events

    def open(self) -> None:
        self.events.append(f"+{self.name}")

    def close(self) -> None:
        self.events.append(f"-{self.name}")


class Factory:
    """A protocol factory whose connections end when `drained` fires."""

    def __init__(self) -> None:
        self.drained: Deferred[None] = Deferred()

    def drain(self) -> Deferred[None]:
        return self.drained


def test_order(tmp_path: Path) -> None:
    events: list[str] = []
    closing: Deferred[None] = Deferred()
    daemon = Daemon(tmp_path / "var", MemoryReactorClock())
    as_service(Opened("blobs", events)).setServiceParent(daemon.providers)
    as_service(Reporter("store", events, closing)).setServiceParent(daemon.providers)
    Reporter("listener", events).setServiceParent(daemon.listeners)
    daemon.startService()
    assert events == ["+blobs", "+store", "+listener"]
    del events[:]
    stopped = daemon.stopService()
    assert events == ["-listener", "-store"]
    assert not stopped.called
    closing.callback(None)  # only then the next one
    assert events == ["-listener", "-store", "-blobs"]
    assert stopped.called


def test_a_provider_that_fails_to_stop_does_not_keep_others_open(tmp_path: Path) -> None:
    events: list[str] = []
    broken: Deferred[None] = Deferred()
    daemon = Daemon(tmp_path, MemoryReactorClock())
    Reporter("blobs", events).setServiceParent(daemon.providers)
    Reporter("store", events, broken).setServiceParent(daemon.providers)
    daemon.startService()
    stopped = daemon.stopService()
    broken.errback(MailhiveError("disk on fire"))
    assert events[-1] == "-blobs"
    assert stopped.called


@pytest.mark.parametrize("drains", [True, False])
def test_connections_get_their_time_and_no_more(drains: bool, tmp_path: Path) -> None:
    events: list[str] = []
    reactor: Any = MemoryReactorClock()
    daemon = Daemon(tmp_path, reactor)
    Reporter("store", events).setServiceParent(daemon.providers)
    factory = Factory()
    ListenerService("mx", "smtp", [], factory, reactor).setServiceParent(daemon.listeners)
    daemon.startService()
    stopped = daemon.stopService()
    reactor.advance(1)
    assert events == ["+store"]
    if drains:
        factory.drained.callback(None)
    else:
        reactor.advance(DRAIN_TIMEOUT)
    assert events == ["+store", "-store"]
    assert stopped.called


def test_data_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    Daemon(tmp_path / "a" / "b", MemoryReactorClock()).startService()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_data_directory_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"server\.data-dir: cannot use .*Not a directory"):
        Daemon(tmp_path / "file" / "var", MemoryReactorClock()).startService()


def test_descriptors_are_allowed_up_to_the_hard_limit(tmp_path: Path) -> None:
    before = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (before[1] - 1, before[1]))
    try:
        Daemon(tmp_path / "var", MemoryReactorClock()).startService()
        assert getrlimit(RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        setrlimit(RLIMIT_NOFILE, before)

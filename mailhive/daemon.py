"""Starting and stopping in order: the data directory, providers, then listeners.

A provider that is an `IService` is started and stopped as one.  Any other may
have `open()` and `close()`.  Both open at once or raise `MailhiveError`; closing
may take a Deferred's time.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from signal import SIGHUP, signal
from socket import socket
from threading import Thread
from typing import Any

from attrs import define, field
from twisted.application.service import IService, MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mailhive.config.endpoints import SocketAddress
from mailhive.errors import MailhiveError
from mailhive.systemd import notify

__all__ = ["Daemon", "ListenerService", "Offload", "StartError", "as_service"]

#: Seconds that connections have to end what they are doing once the daemon stops.
DRAIN_TIMEOUT = 4.25


class StartError(MailhiveError):
    """The daemon cannot start, for a reason that its administrator can mend."""


def _pool() -> ThreadPool:
    pool = ThreadPool(0, 10, "mailhive")
    # What a thread is still doing when the daemon has stopped is of no use to anybody.
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    return pool


@define(eq=False)
class Offload:
    """`offload(function, *arguments)`: a Deferred of its result, computed on a thread."""

    reactor: Any
    pool: ThreadPool = field(factory=_pool)

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return deferToThreadPool(self.reactor, self.pool, function, *args)

    def open(self) -> None:
        self.pool.start()

    def close(self) -> None:
        Thread(target=self.pool.stop, daemon=True).start()  # stop() waits for every thread


@define(eq=False)
class ListenerService(Service):
    """One listener: its factory on sockets that are already listening."""

    name: str
    protocol: str
    sockets: list[socket]
    factory: Any
    reactor: Any
    ports: list[Any] = field(factory=list)
    _log = Logger()

    def startService(self) -> None:
        super().startService()
        self.factory.noisy = False  # it is told below
        for sock in self.sockets:
            port = self.reactor.adoptStreamPort(sock.fileno(), sock.family, self.factory)
            sock.close()  # the port has its own descriptor
            self.ports.append(port)
            self._log.info(
                '{protocol} listener "{name}" on {address}',
                protocol=self.protocol,
                name=self.name,
                address=_text(port.getHost()),
            )

    @inlineCallbacks
    def stopService(self) -> Any:
        """Stop accepting, then give connections the time to end, `DRAIN_TIMEOUT` at most."""
        super().stopService()
        for port in self.ports:
            yield maybeDeferred(port.stopListening)
        drain = getattr(self.factory, "drain", lambda: None)
        try:
            yield maybeDeferred(drain).addTimeout(DRAIN_TIMEOUT, self.reactor)
        except DeferredTimeout:
            self._log.warn('Listener "{name}": connections were cut', name=self.name)


def _text(address: Any) -> str:
    if isinstance(address, IPv4Address | IPv6Address):
        return str(SocketAddress(address.host, address.port))
    return str(address)


class _ProviderService(Service):
    def __init__(self, provider: Any) -> None:
        self.provider = provider

    def startService(self) -> None:
        getattr(self.provider, "open", _nothing)()
        super().startService()

    def stopService(self) -> Any:
        super().stopService()
        return getattr(self.provider, "close", _nothing)()


def _nothing() -> None:
    """Of a provider that need not be opened or closed."""


def as_service(provider: Any) -> Any:
    """The `IService` that opens and closes a provider."""
    return provider if IService.providedBy(provider) else _ProviderService(provider)


def _allow_descriptors() -> None:
    """Have as many files and connections as there may be, not as many as is usual."""
    _, most = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (most, most))


class Daemon(MultiService):
    """Everything that runs.  `providers` start before `listeners` and stop after them.

    `reload()` is called when the process gets SIGHUP.
    """

    _log = Logger()

    def __init__(
        self, data_dir: Path, reactor: Any, reload: Callable[[], Any] | None = None
    ) -> None:
        super().__init__()
        self.data_dir = data_dir
        self.reactor = reactor
        self._reload = reload
        self._hangup: Any = None  # what SIGHUP did before
        #: What to wait for between the end of the listeners and that of the providers.
        self.drained: Callable[[], Any] = _nothing
        self.providers = MultiService()
        self.listeners = MultiService()
        self.providers.setServiceParent(self)
        self.listeners.setServiceParent(self)

    def startService(self) -> None:
        """Start; `MailhiveError` says in one message why that is not possible."""
        _allow_descriptors()
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            super().startService()
        except OSError as error:
            where = error.filename or self.data_dir
            raise StartError(f"server.data-dir: cannot use {where}: {error.strerror}") from error
        self.reactor.callWhenRunning(self._ready)

    def reload(self) -> Deferred[Any]:
        """Take over a changed configuration; fires when that is done or refused."""
        return maybeDeferred(self._reload or _nothing)

    def _ready(self) -> None:
        reload, reactor = self._reload, self.reactor
        if reload is not None:
            self._hangup = signal(SIGHUP, lambda *_: reactor.callFromThread(reload))
        notify("READY=1")

    @inlineCallbacks
    def stopService(self) -> Any:
        """Stop accepting, let connections end, then close the providers, last opened first."""
        Service.stopService(self)
        notify("STOPPING=1")
        if self._hangup is not None:
            signal(SIGHUP, self._hangup)
            self._hangup = None
        yield self.listeners.stopService()
        yield maybeDeferred(self.drained)
        Service.stopService(self.providers)
        for provider in reversed(self.providers.services):
            try:
                yield maybeDeferred(provider.stopService)
            except Exception:
                self._log.failure("A provider did not stop cleanly")

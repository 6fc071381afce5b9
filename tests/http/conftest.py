"""A JMAP listener over an API in memory, reached in memory or through a socket."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
import treq.client
from attrs import define, field
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from mailhive.app import build
from mailhive.auth.errors import TooManyAttempts, Unauthorized
from mailhive.auth.grant import Grant
from mailhive.auth.tickets import Tickets
from mailhive.config.load import load
from mailhive.http.cors import Cors
from mailhive.http.gate import Gate
from mailhive.http.routes import ApiResource, Routes
from mailhive.http.site import JmapSite
from mailhive.http.urls import API, Prefixes
from mailhive.jmap.errors import RequestError
from mailhive.jmap.limits import Limits
from mailhive.jmap.slots import Slots
from mailhive.model.principal import Principal
from mailhive.testing.jmap_client import JmapClient
from mailhive.testing.memory import MemoryBlobStore

ALICE = "Basic " + base64.b64encode(b"alice:secret").decode()


class CountingWriter:
    """A writer that remembers the largest piece and keeps nothing."""

    def __init__(self) -> None:
        self.size = self.largest = 0
        self.aborted = self.committed = False

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.largest = max(self.largest, len(data))

    def commit(self) -> Deferred:
        self.committed = True
        return succeed("bcounted")

    def abort(self) -> None:
        self.aborted = True


@define
class MemoryBlob:
    content: bytes
    reads: list[tuple[int, int]] = field(factory=list)
    error: Exception | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, start: int, length: int) -> bytes:
        self.reads.append((start, length))
        if self.error is not None:
            raise self.error
        return self.content[start : start + length]


class MemoryApi:
    """The `JmapApi` of one account `Aalice`, which echoes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.request_slots = Slots(limits.concurrent_requests, "maxConcurrentRequests")
        self.upload_slots = Slots(limits.concurrent_uploads, "maxConcurrentUpload")
        self.blobs: dict[str, MemoryBlob] = {}
        self.uploads: list[tuple[str, str, int]] = []
        self.gate: Deferred[None] | None = None  # requests wait for it
        self.error: Exception | None = None
        self.handled = 0

    async def handle(self, principal: Principal, raw: bytes) -> Any:
        if self.error is not None:
            raise self.error
        if self.gate is not None:
            await self.gate
        self.handled += 1
        return Reply(raw, ("Core/echo",))

    async def session(self, principal: Principal, urls: Any) -> bytes:
        return msgspec.json.encode(
            {
                "apiUrl": urls.api,
                "uploadUrl": urls.upload,
                "downloadUrl": urls.download,
                "eventSourceUrl": urls.event_source,
                "webSocket": urls.websocket,
                "username": principal.name,
                "primaryAccounts": {"urn:ietf:params:jmap:mail": "Aalice"},
            }
        )

    async def may_upload(self, principal: Principal, account_id: str) -> None:
        if account_id != "Aalice":
            raise RequestError(None, "There is no such account", status=404)

    async def upload(
        self, principal: Principal, account_id: str, writer: Any, media_type: str
    ) -> bytes:
        blob_id, size = await writer.commit(), writer.size
        self.uploads.append((blob_id, media_type, size))
        return msgspec.json.encode(
            {"accountId": account_id, "blobId": blob_id, "type": media_type, "size": size}
        )

    async def blob(self, principal: Principal, account_id: str, blob_id: str) -> MemoryBlob:
        if account_id != "Aalice" or blob_id not in self.blobs:
            raise RequestError(None, "There is no such blob", status=404)
        return self.blobs[blob_id]


@define
class Reply:
    body: bytes
    methods: tuple[str, ...]


class MemoryChain:
    """Lets alice in; answers at once, or when `gate` fires."""

    def __init__(self) -> None:
        self.gate: Deferred[None] | None = None
        self.error: Exception | None = None
        self.asked = 0
        self.seen: list[tuple[str, str]] = []  # client, and who opened its connection

    async def authenticate(self, headers: Any, peer: str) -> Grant:
        self.asked += 1
        self.seen.append((peer, headers.connected_from))
        if self.gate is not None:
            await self.gate
        if self.error is not None:
            raise self.error
        if headers.get("authorization") != ALICE:
            raise Unauthorized(('Basic realm="mailhive"', "Bearer"))
        principal = Principal("alice")

        async def ask() -> Principal:
            return (await self.authenticate(headers, peer)).principal

        return Grant(principal, ask)


@define
class Server:
    """A site and everything behind it."""

    api: MemoryApi
    chain: MemoryChain
    blobs: MemoryBlobStore
    site: JmapSite
    reactor: Any


def make_server(
    reactor: Any,
    limits: Limits | None = None,
    *,
    prefixes: Prefixes | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    **settings: Any,
) -> Server:
    api, chain, blobs = MemoryApi(limits or Limits()), MemoryChain(), MemoryBlobStore()
    settings.setdefault("cors", Cors(("*",)))

    def offload(fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return maybeDeferred(fn, *args)

    routes = Routes(
        Gate(chain, Tickets(reactor.seconds), offload),
        api,
        blobs,
        None,
        reactor=reactor,
        prefixes=prefixes,
    )
    site = JmapSite(
        {API.encode(): ApiResource(routes)},
        routes.app.resource(),
        name="test",
        reactor=reactor,
        headers=headers,
        **settings,
    )
    return Server(api, chain, blobs, site, reactor)


class Transport(StringTransport):
    """A transport that says how it ended and can be aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class Wire:
    """A client of octets, without a socket."""

    def __init__(self, server: Server, peer: str = "192.0.2.1") -> None:
        address = IPv4Address("TCP", peer, 999)
        self.protocol = server.site.buildProtocol(address)
        self.transport = Transport(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 8080), peerAddress=address
        )
        self.protocol.makeConnection(self.transport)

    def send(self, *data: bytes) -> "Wire":
        for piece in data:
            self.protocol.dataReceived(piece)
        return self

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def received(self) -> bytes:
        return self.transport.value()

    @property
    def paused(self) -> bool:
        return self.transport.producerState == "paused"

    def take(self) -> tuple[int, dict[str, str], bytes]:
        """The first answer that has arrived, which is then forgotten."""
        head, _, rest = self.received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            key, _, value = line.partition(": ")
            headers[key.lower()] = (
                headers.get(key.lower(), "") + (", " if key.lower() in headers else "") + value
            )
        length = int(headers.get("content-length", "0"))
        self.transport.clear()
        self.transport.write(rest[length:])
        return int(status.split()[1]), headers, rest[:length]


def request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    auth: str | None = ALICE,
    host: str = "mail.example",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """The octets of a request; `length` overrides its Content-Length."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if auth is not None:
        lines.append(f"Authorization: {auth}")
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    if "Transfer_Encoding" not in headers and (body or length is not None or method == "POST"):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Server:
    """A server in memory, whose time is `clock`."""
    return make_server(clock)


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server)


@pytest.fixture
def events_of() -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Collect the events of a namespace, in the order in which they are logged."""
    observers: list[Any] = []

    def collect(namespace: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def observe(event: dict[str, Any]) -> None:
            if event.get("log_namespace") == namespace:
                found.append(event)

        globalLogPublisher.addObserver(observe)
        observers.append(observe)
        return found

    yield collect
    for observe in observers:
        globalLogPublisher.removeObserver(observe)


@pytest.fixture
def events(events_of: Any) -> list[dict[str, Any]]:
    """The events of requests."""
    found: list[dict[str, Any]] = events_of("mailhive.http.requests")
    return found


@pytest.fixture
def tools() -> Any:
    """What tests make servers and requests of."""

    class Tools:
        alice = ALICE
        blob = MemoryBlob
        counting_writer = CountingWriter
        make_server = staticmethod(make_server)
        request = staticmethod(request)
        too_many = TooManyAttempts
        wire = Wire

    return Tools


@pytest.fixture
def listening():
    """Serve a server on a loopback port; returns its base URL and port number."""
    ports = []

    def listen(site: JmapSite) -> tuple[str, int]:
        port = real_reactor.listenTCP(0, site, interface="127.0.0.1")
        ports.append((port, site))
        number = port.getHost().port
        return f"http://127.0.0.1:{number}", number

    yield listen
    for port, site in ports:
        pytest_twisted.blockon(maybeDeferred(port.stopListening))
        for channel in list(site.channels):
            channel.abort()
        pytest_twisted.blockon(site.drain())


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[[str], dict[str, int]]]:
    """Start a whole daemon on settings, in this process; the ports of its listeners by name."""
    daemons: list[Any] = []

    def start(settings: str) -> dict[str, int]:
        path = tmp_path / str(len(daemons)) / "mailhive.toml"  # each with data of its own
        path.parent.mkdir()
        path.write_text(settings)
        daemon = build(load(path), real_reactor)
        daemon.startService()
        daemons.append(daemon)
        return {each.name: each.ports[0].getHost().port for each in daemon.listeners}

    yield start
    for daemon in daemons:
        pytest_twisted.blockon(maybeDeferred(daemon.stopService))


@pytest.fixture
def http():
    """A treq client whose connections end with the test."""
    pool = HTTPConnectionPool(real_reactor, persistent=True)
    yield treq.client.HTTPClient(Agent(real_reactor, pool=pool))
    pytest_twisted.blockon(pool.closeCachedConnections())


@pytest.fixture
def client_of(http):
    """A JMAP client of a base URL."""
    return lambda url: JmapClient(f"{url}/.well-known/jmap", "alice", "secret", http)

"""PROXY headers in front of SMTP, of TLS and of HTTP, on real sockets of the daemon."""

import base64
import json
import smtplib
import socket
import ssl
import struct
from http.client import HTTPResponse

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from mailhive.app import build
from mailhive.config.load import load
from mailhive.edge import proxied
from mailhive.edge.proxied import Proxied

CONFIG = """\
[server]
hostname = "mx.example.org"
data-dir = "data"
trusted-proxies = [{trusted}]
[server.listener.mx]
bind = "127.0.0.1:0"
protocol = "smtp"
tls = "starttls"
certificate = "a.pem"
private-key = "a.key"
proxy-protocol = true
[server.listener.web]
bind = "127.0.0.1:0"
protocol = "jmap"
tls = "implicit"
certificate = "a.pem"
private-key = "a.key"
proxy-protocol = true
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
[[directory.memory.principals]]
name = "alice"
secret = "secret"
email = "alice@example.org"
"""

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(
    "!BBH16s16sHH",
    0x21,
    0x21,
    36,
    socket.inet_pton(socket.AF_INET6, "2001:db8::7"),
    bytes(16),
    1,
    2,
)


@pytest.fixture
def ports(files, tmp_path):
    """Start the daemon; the ports of its listeners by name."""
    daemons = []

    def start(trusted='"127.0.0.1"'):
        files("a")
        path = tmp_path / "mailhive.toml"
        path.write_text(CONFIG.format(trusted=trusted))
        daemon = build(load(path), reactor)
        daemon.startService()
        daemons.append(daemon)
        return {listener.name: listener.ports[0].getHost().port for listener in daemon.listeners}

    yield start
    for daemon in daemons:
        pytest_twisted.blockon(maybeDeferred(daemon.stopService))


class SmtpBehindProxy(smtplib.SMTP):
    """An SMTP client whose connection begins with a header."""

    header = b""

    def _get_socket(self, host, port, timeout):
        made = socket.create_connection((host, port), timeout)
        made.sendall(self.header)
        return made


@pytest.mark.parametrize(("header", "client"), [(V1, "192.0.2.7"), (V2, "IPv6:2001:db8::7")])
@pytest_twisted.ensureDeferred
async def test_smtp_with_starttls(ports, tmp_path, header, client):
    port = ports()["mx"]
    trust = ssl.create_default_context(cafile=tmp_path / "a.pem")

    def talk():
        SmtpBehindProxy.header = header
        with SmtpBehindProxy("localhost", port, timeout=100) as smtp:
            smtp.starttls(context=trust)
            smtp.sendmail("b@example.net", ["alice@example.org"], "Subject: x\r\n\r\nhello\r\n")

    await deferToThread(talk)
    stored = b"".join(
        path.read_bytes() for path in tmp_path.glob("data/blobs/**/*") if path.is_file()
    )
    assert f"([{client}])".encode() in stored


@pytest.mark.parametrize("header", [V1, V2])
@pytest_twisted.ensureDeferred
async def test_https(ports, tmp_path, header):
    port = ports()["web"]
    trust = ssl.create_default_context(cafile=tmp_path / "a.pem")
    login = base64.b64encode(b"alice:secret").decode()

    def talk():
        with socket.create_connection(("127.0.0.1", port), 100) as plain:
            plain.sendall(header)
            with trust.wrap_socket(plain, server_hostname="localhost") as encrypted:
                encrypted.sendall(
                    b"GET /jmap/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    b"Authorization: Basic " + login.encode() + b"\r\n\r\n"
                )
                answer = HTTPResponse(encrypted)
                answer.begin()
                return json.load(answer)

    assert (await deferToThread(talk))["username"] == "alice"


@pytest.mark.parametrize(
    ("trusted", "sent"),
    [('"192.0.2.0/24"', V1), ('"127.0.0.1"', b"EHLO client.example\r\n")],
)
@pytest_twisted.ensureDeferred
async def test_strangers_and_connections_without_a_header_are_cut(ports, trusted, sent):
    port = ports(trusted)["mx"]

    def talk():
        try:  # the end may come at any moment
            with socket.create_connection(("127.0.0.1", port), 100) as plain:
                plain.sendall(sent)
                return plain.recv(100)
        except (ConnectionResetError, BrokenPipeError):
            return b""

    assert await deferToThread(talk) == b""


class Echo(Protocol):
    """Tells who its peer is, and says again what it hears."""

    def connectionMade(self):
        self.transport.write(f"{self.transport.getPeer().host} ".encode())

    def dataReceived(self, data):
        self.transport.write(data)


class Peer(Protocol):
    def __init__(self):
        self.received, self.lost = b"", Deferred()

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost.callback(self.received)


@pytest.fixture
def serve():
    """Serve an echo behind PROXY headers, on a clock; connect to it."""
    opened = []

    async def connect(clock):
        factory = Proxied(
            Factory.forProtocol(Echo), lambda peer: peer == "127.0.0.1", name="x", reactor=clock
        )
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        opened.append(port)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        return factory, await connectProtocol(endpoint, Peer())

    yield connect
    for port in opened:
        pytest_twisted.blockon(port.stopListening())


async def until(condition):
    while not condition():
        turn = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn


@pytest_twisted.ensureDeferred
async def test_what_comes_with_the_header_is_passed_on(serve):
    clock = Clock()
    factory, peer = await serve(clock)
    for octet in V1:
        peer.transport.write(bytes([octet]))
    peer.transport.write(b"hello")
    await until(lambda: b"hello" in peer.received)
    assert peer.received == b"192.0.2.7 hello"
    assert not factory.waiting
    assert not clock.getDelayedCalls()
    peer.transport.loseConnection()
    await peer.lost


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2[:12] + b"\x20\x00\x00\x00"])
@pytest_twisted.ensureDeferred
async def test_a_connection_of_the_proxy_itself(serve, header):
    _, peer = await serve(Clock())
    peer.transport.write(header)
    await until(lambda: peer.received)
    assert peer.received == b"127.0.0.1 "
    peer.transport.loseConnection()
    await peer.lost


@pytest.mark.parametrize("end", ["time", "drain"])
@pytest_twisted.ensureDeferred
async def test_a_header_that_does_not_come(serve, end):
    clock = Clock()
    factory, peer = await serve(clock)
    peer.transport.write(V1[:20])
    await until(lambda: factory.waiting)
    if end == "time":
        clock.advance(proxied.HEADER_TIMEOUT)
    else:
        factory.drain()
    assert await peer.lost == b""
    await until(lambda: not factory.waiting)
    assert not clock.getDelayedCalls()

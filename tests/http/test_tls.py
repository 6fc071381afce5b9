"""Flow of bodies and answers where TLS lies between the connection and the socket."""

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from mailhive.edge.certificates import Certificates
from mailhive.http.body import HIGH_WATER
from mailhive.http.download import PIECE
from mailhive.http.listener import JmapListenerSettings
from mailhive.jmap.limits import Limits
from mailhive.testing.certificates import make_certificate


class Peer(Protocol):
    """Collects what it gets."""

    def __init__(self):
        self.received = bytearray()
        self.lost = Deferred()

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost.callback(self.received)


def soon():
    done = Deferred()
    reactor.callLater(0, done.callback, None)
    return done


async def until(condition):
    while not condition():
        await soon()


@pytest.fixture
def connect(tmp_path):
    """Serve a site over TLS and connect to it."""
    made = make_certificate("localhost")
    pem = tmp_path / "server.pem"
    pem.write_bytes(made.certificate + made.private_key)
    certificates = Certificates(
        [(pem, pem)], seconds=reactor.seconds, protocols=JmapListenerSettings.alpn
    )
    ports, peers = [], []

    async def connect(site):
        port = reactor.listenSSL(0, site, certificates, interface="127.0.0.1")
        ports.append(port)
        endpoint = SSL4ClientEndpoint(
            reactor, "127.0.0.1", port.getHost().port, ssl.CertificateOptions()
        )
        peer = await connectProtocol(endpoint, Peer())
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.transport.abortConnection()
        pytest_twisted.blockon(peer.lost)
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


@pytest_twisted.ensureDeferred
async def test_http_2_is_not_offered(connect, tools):
    peer = await connect(tools.make_server(reactor).site)
    peer.transport.write(tools.request("GET", "/nowhere"))
    await until(lambda: b"404" in peer.received)
    assert peer.transport.negotiatedProtocol in (None, b"http/1.1")


@pytest_twisted.ensureDeferred
async def test_a_held_upload_goes_on(connect, tools):
    server = tools.make_server(reactor)
    server.chain.gate = Deferred()
    peer = await connect(server.site)
    body = b"x" * 5_000_000
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", body))
    await until(lambda: any(channel.paused for channel in server.site.channels))
    (channel,) = server.site.channels
    for _ in range(100):
        await soon()
    assert channel.requests[0].body.received <= HIGH_WATER + 2 * 65_536
    server.chain.gate.callback(None)
    await until(lambda: b"}" in peer.received)
    assert peer.received.startswith(b"HTTP/1.1 201 ")


@pytest_twisted.ensureDeferred
async def test_413_reaches_a_peer_that_is_still_sending(connect, tools):
    peer = await connect(tools.make_server(reactor, Limits(upload_size=1000)).site)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", b"x" * 5_000_000))
    await until(lambda: b"maxSizeUpload" in peer.received)
    assert peer.received.startswith(b"HTTP/1.1 413 ")


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_is_waited_for(connect, tools):
    server = tools.make_server(reactor)
    blob = server.api.blobs["b1"] = tools.blob(b"x" * PIECE * 60)
    peer = await connect(server.site)
    peer.transport.write(tools.request("GET", "/nowhere"))
    await until(lambda: b"404" in peer.received)  # the handshake is over
    peer.transport.pauseProducing()
    peer.transport.write(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    await until(lambda: blob.reads)
    for _ in range(300):
        await soon()
    assert len(blob.reads) < 60
    peer.transport.resumeProducing()
    await until(lambda: len(peer.received) > PIECE * 60)
    assert len(blob.reads) == 60

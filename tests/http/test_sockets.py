"""The same through real sockets: streaming, backpressure, early answers, half-closed peers."""

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from mailhive.http.body import HIGH_WATER
from mailhive.http.download import PIECE
from mailhive.jmap.limits import Limits

JSON = {"Content_Type": "application/json"}


class Raw(Protocol):
    """A peer that sends what it is told and collects what it gets."""

    def __init__(self):
        self.received = bytearray()
        self.lost = Deferred()
        self._waiting = None

    def dataReceived(self, data):
        self.received += data
        if self._waiting and self._waiting[0] in self.received:
            self._waiting[1].callback(self.received)
            self._waiting = None

    def connectionLost(self, reason):
        self.lost.callback(self.received)

    def until(self, mark):
        """Fires when `mark` has arrived."""
        done = Deferred()
        if mark in self.received:
            done.callback(self.received)
        else:
            self._waiting = (mark, done)
        return done


async def connect(port):
    return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())


class Endless:
    """Sends the same piece whenever there is room, until stopped or `total` is reached."""

    def __init__(self, transport, piece, total=None):
        self.transport, self.piece, self.left = transport, piece, total
        self.sent = 0
        self.done = Deferred()
        transport.registerProducer(self, False)

    def resumeProducing(self):
        if self.left is not None and self.sent >= self.left:
            self.transport.unregisterProducer()
            self.done.callback(None)
            return
        self.sent += len(self.piece)
        self.transport.write(self.piece)

    def stopProducing(self):
        pass


@pytest_twisted.ensureDeferred
async def test_a_large_upload_streams(listening, tools):
    size = 104_857_600
    server = tools.make_server(reactor, Limits(upload_size=size))
    writer = tools.counting_writer()
    server.blobs.open_writer = lambda: writer
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", length=size))
    Endless(peer.transport, b"x" * 65_536, size)
    assert b" 201 " in await peer.until(b"}")
    assert (writer.size, writer.committed) == (size, True)
    assert writer.largest <= 2 * HIGH_WATER
    peer.transport.loseConnection()
    await peer.lost


@pytest_twisted.ensureDeferred
async def test_a_peer_that_is_not_let_in_is_not_read(listening, tools):
    server = tools.make_server(reactor)
    server.chain.gate = Deferred()
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", length=20_000_000))
    sender = Endless(peer.transport, b"x" * 65_536, 20_000_000)
    for _ in range(200):
        await soon()
    (channel,) = server.site.channels
    assert channel.requests[0].body.received <= 2 * 65_536 + HIGH_WATER
    assert sender.sent < 20_000_000
    server.chain.gate.callback(None)
    assert b" 201 " in await peer.until(b"}")
    peer.transport.loseConnection()
    await peer.lost


def soon():
    done = Deferred()
    reactor.callLater(0, done.callback, None)
    return done


@pytest_twisted.ensureDeferred
async def test_413_reaches_a_peer_that_is_still_sending(listening, tools):
    server = tools.make_server(reactor, Limits(upload_size=1000))
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", length=50_000_000))
    sender = Endless(peer.transport, b"x" * 65_536)
    answer = await peer.until(b"maxSizeUpload")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sender.sent < 50_000_000
    peer.transport.abortConnection()
    await peer.lost
    assert not server.blobs.open_writers


@pytest_twisted.ensureDeferred
async def test_endless_chunks_are_refused_and_leave_nothing(listening, tools):
    server = tools.make_server(reactor, Limits(upload_size=1_000_000))
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", Transfer_Encoding="chunked"))
    Endless(peer.transport, b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
    assert b"maxSizeUpload" in await peer.until(b"maxSizeUpload")
    assert not server.blobs.open_writers
    peer.transport.abortConnection()
    await peer.lost


@pytest_twisted.ensureDeferred
async def test_a_peer_that_closes_its_half_in_the_middle_leaves_nothing(listening, tools):
    server = tools.make_server(reactor)
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(tools.request("POST", "/jmap/upload/Aalice/", length=100) + b"x" * 50)
    peer.transport.loseWriteConnection()
    assert b" 201 " not in await peer.lost
    assert not server.blobs.open_writers
    assert server.api.uploads == []


@pytest_twisted.ensureDeferred
async def test_a_reader_that_stops_costs_little(listening, tools):
    server = tools.make_server(reactor)
    blob = server.api.blobs["b1"] = tools.blob(b"x" * PIECE * 100)
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.pauseProducing()
    peer.transport.write(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    seen = -1
    while len(blob.reads) != seen or seen < 1:
        seen = len(blob.reads)
        for _ in range(50):
            await soon()
    assert len(blob.reads) < 100
    peer.transport.resumeProducing()
    await peer.until(b"x" * 1000)
    while len(peer.received) < PIECE * 100:
        await soon()
    assert len(blob.reads) == 100
    peer.transport.loseConnection()
    await peer.lost


@pytest_twisted.ensureDeferred
async def test_a_reader_that_leaves_stops_the_reading(listening, tools):
    server = tools.make_server(reactor)
    blob = server.api.blobs["b1"] = tools.blob(b"x" * PIECE * 100)
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.pauseProducing()
    peer.transport.write(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    while not blob.reads:
        await soon()
    peer.transport.abortConnection()
    await peer.lost
    while server.site.channels:
        await soon()
    assert len(blob.reads) < 100


@pytest_twisted.ensureDeferred
async def test_pipelined_requests(listening, tools):
    server = tools.make_server(reactor)
    _, port = listening(server.site)
    peer = await connect(port)
    peer.transport.write(
        b"".join(tools.request("POST", "/jmap/api", b"<%d>" % i, **JSON) for i in range(50))
    )
    answer = await peer.until(b"<49>")
    assert [answer.index(b"<%d>" % i) for i in range(50)] == sorted(
        answer.index(b"<%d>" % i) for i in range(50)
    )
    peer.transport.loseConnection()
    await peer.lost


@pytest_twisted.ensureDeferred
async def test_draining_lets_a_download_finish(listening, tools):
    server = tools.make_server(reactor)
    server.api.blobs["b1"] = tools.blob(b"x" * PIECE * 20)
    _, port = listening(server.site)
    peer, idle = await connect(port), await connect(port)
    peer.transport.pauseProducing()
    peer.transport.write(tools.request("GET", "/jmap/download/Aalice/b1/x"))
    while not any(channel.requests for channel in server.site.channels):
        await soon()
    drained = server.site.drain()
    await idle.lost
    peer.transport.resumeProducing()
    answer = await peer.lost
    assert answer.count(b"x" * PIECE) == 20
    await drained

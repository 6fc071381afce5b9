"""Frames, good and bad: sizes, compression, pings, closing (RFC 6455, RFC 7692)."""

import json
import struct
import zlib
from random import Random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mailhive.config.jmap import JmapWebSocket
from mailhive.config.units import Duration
from mailhive.testing.websocket_client import BINARY, CLOSE, PING, PONG, TEXT, frame


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_too_large_is_not_read(world: Any) -> None:
    client = await world.open()
    client.transport.write(b"\x81\xff" + struct.pack("!Q", 300_000 + 1) + b"\0" * 4)
    assert await client.closed() == 1009
    client = await world.open()  # in many frames
    for _ in range(4):
        client.frame(TEXT, b"x" * 100_000, first=0)
        client.frame(0, b"", first=0)
    assert (await client.next_frame())[0] == CLOSE


@pytest_twisted.ensureDeferred
async def test_compressed_messages(world: Any) -> None:
    offer = "permessage-deflate; client_max_window_bits"
    client = await world.dial(Sec_WebSocket_Extensions=offer)
    status, headers = await client.head()
    assert status == 101
    assert "client_no_context_takeover" in headers["sec-websocket-extensions"]
    body = world.echo("a", id="1")
    body["methodCalls"] = [["Core/echo", {"text": "x" * 20_000}, "c"]]
    for _ in range(2):
        client.frame(TEXT, deflate(json.dumps(body).encode()), first=0xC0)
        assert (await client.hear())["methodResponses"] == body["methodCalls"]
    # What it becomes is what counts.
    client.frame(TEXT, deflate(b" " * 50_000_000), first=0xC0)
    opcode, payload = await client.next_frame()
    assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1009))


@pytest.mark.parametrize("timing", [JmapWebSocket(compression=False)])
@pytest_twisted.ensureDeferred
async def test_compression_can_be_turned_off(world: Any, timing: Any) -> None:
    client = await world.dial(Sec_WebSocket_Extensions="permessage-deflate")
    status, headers = await client.head()
    assert status == 101
    assert "sec-websocket-extensions" not in headers
    client.frame(TEXT, json.dumps(world.echo("a", id="1")).encode())
    assert (await client.hear())["requestId"] == "1"


def deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-12)
    return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize(
    ("status", "octets"),
    [
        (1003, frame(BINARY, b"{}")),
        (1007, frame(TEXT, b"\xff")),
        (1002, b"\x81\x02{}"),  # not masked
        (1002, frame(3, b"")),  # no such opcode
        (1002, frame(TEXT, b"{}", first=0xC0)),  # compressed, which was not agreed on
        (1002, frame(PING, b"x" * 126)),
        (1002, frame(0, b"{}")),  # goes on with nothing
    ],
)
@pytest_twisted.ensureDeferred
async def test_frames_that_end_the_connection(world: Any, status: int, octets: bytes) -> None:
    client = await world.open()
    client.transport.write(octets)
    assert await client.closed() == status


@pytest_twisted.ensureDeferred
async def test_pings_fragments_and_closing(world: Any) -> None:
    client = await world.open()
    text = json.dumps(world.echo("a")).encode()
    client.frame(TEXT, text[:9], first=0)
    client.frame(PING, b"there?")
    client.frame(0, text[9:])
    assert await client.next_frame() == (PONG, b"there?")
    assert (await client.hear())["@type"] == "Response"
    client.frame(CLOSE, struct.pack("!H", 1000))
    assert await client.next_frame() == (CLOSE, struct.pack("!H", 1000))
    await client.end()


@pytest_twisted.ensureDeferred
async def test_a_client_that_only_stops_sending_is_gone(world: Any) -> None:
    client = await world.open()
    client.say({"@type": "WebSocketPushEnable", "dataTypes": None})
    client.transport.loseWriteConnection()
    await client.end()
    while world.site.channels:
        await pause()


@pytest.mark.parametrize("seed", range(8))
@pytest_twisted.ensureDeferred
async def test_any_octets_leave_the_server_well(world: Any, seed: int) -> None:
    chance = Random(seed)
    client = await world.dial() if seed % 5 == 0 else await world.open()
    for _ in range(chance.randrange(1, 9)):
        octets = chance.randbytes(chance.randrange(200))
        if seed % 2:
            octets = frame(chance.choice([0, 1, 2, 8, 9, 10, 3]), octets, chance.choice([0, 0x80]))
        client.transport.write(octets)
    client.transport.loseWriteConnection()
    await client.end()
    sane = await world.open()
    sane.say(world.echo("a"))
    assert (await sane.hear())["@type"] == "Response"


async def pause() -> None:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.01, done.callback, None)
    await done


@pytest.mark.parametrize("timing", [JmapWebSocket(Duration(1.0), Duration(3.0))])
@pytest_twisted.ensureDeferred
async def test_a_client_is_asked_whether_it_is_there(world: Any, timing: Any) -> None:
    client = await world.open()
    opcode, payload = await client.next_frame()
    assert opcode == PING
    client.frame(PONG, payload)
    assert (await client.next_frame())[0] == PING
    await client.end()  # as it does not answer

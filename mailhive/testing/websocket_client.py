"""A WebSocket client that says and hears frames, well-formed or not (RFC 6455)."""

import json
import struct
import zlib
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "WebSocketClient", "frame"]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocketClient(Protocol):
    """The other end: octets out, frames in.  `EOFError` when it is gone."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiting: Deferred[None] | None = None
        self.gone = False

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        self.wake()

    def connectionLost(self, _: Any = None) -> None:
        self.gone = True
        self.wake()

    def wake(self) -> None:
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def take(self, length: int) -> bytes:
        while len(self.buffer) < length:
            if self.gone:
                raise EOFError
            self.waiting = Deferred()
            await self.waiting
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    async def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            await self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }

    async def more(self) -> None:
        if self.gone:
            raise EOFError
        self.waiting = Deferred()
        await self.waiting

    async def end(self) -> None:
        while not self.gone:
            self.waiting = Deferred()
            await self.waiting

    def frame(self, opcode: int, payload: bytes, first: int = 0x80) -> None:
        assert self.transport is not None
        self.transport.write(frame(opcode, payload, first))

    def say(self, message: Any) -> None:
        self.frame(TEXT, message if isinstance(message, bytes) else json.dumps(message).encode())

    async def next_frame(self) -> tuple[int, bytes]:
        first, length = await self.take(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.take(8))
        payload = await self.take(length)
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        return first & 15, payload

    async def hear(self) -> Any:
        opcode, payload = await self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self) -> int:
        """The status of the next frame, which is a Close; it is answered."""
        opcode, payload = await self.next_frame()
        assert opcode == CLOSE, (opcode, payload)
        self.frame(CLOSE, payload[:2])
        await self.end()
        return struct.unpack("!H", payload[:2])[0]


def frame(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        length = b"\xfe" + struct.pack("!H", len(payload))
    else:
        length = b"\xff" + struct.pack("!Q", len(payload))
    return bytes([first | opcode]) + length + b"\0\0\0\0" + payload

"""A WebSocket client (RFC 6455) for one request at a time, and an event source."""

import base64
import os
import socket
import struct
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from http1 import HEAD_END, Connection
from jmap import WEBSOCKET, Account, Failed

PING, PONG, CLOSE = 9, 10, 8


def _opened(
    account: Account, url: str, headers: dict[str, str], status: bytes
) -> tuple[socket.socket, bytes]:
    """A connection behind the head of a response, and what came behind it."""
    place = Connection(url, account.tls).open()
    place.sendall(account.head("GET", url, headers) + HEAD_END)
    data = b""
    while HEAD_END not in data:
        some = place.recv(65536)
        if not some:
            raise Failed(f"{url}: the connection was closed")
        data += some
    if status not in data.split(b"\r\n", 1)[0]:
        raise Failed(f"{url}: {data[:100]!r}")
    return place, data.partition(HEAD_END)[2]


class WebSocket:
    """`request` sends a text message and waits for the next one that comes."""

    def __init__(self, account: Account) -> None:
        capability: dict[str, Any] = account.session["capabilities"].get(WEBSOCKET) or {}
        if "url" not in capability:
            raise Failed("no WebSockets")
        # Cyrus 3.6 names a scheme and a path without a host
        path = urlsplit(capability["url"]).path
        url = capability["url"]
        if not urlsplit(url).netloc:
            url = urljoin(account.url, path)
        url = url.replace("ws", "http", 1) if url.startswith("ws") else url
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "jmap",
        }
        self._socket, rest = _opened(account, url, headers, b" 101 ")
        self._data = bytearray(rest)
        self.seconds = 0.0

    def request(self, message: bytes) -> bytes:
        frame = self._frame(message, 1)
        begin = time.perf_counter()
        self._socket.sendall(frame)
        answer = self.receive()
        self.seconds = time.perf_counter() - begin
        return answer

    def send(self, message: bytes) -> None:
        self._socket.sendall(self._frame(message, 1))

    def receive(self) -> bytes:
        """The next message."""
        whole = b""
        while True:
            code, final, payload = self._next()
            if code == PING:
                self._socket.sendall(self._frame(payload, PONG))
            elif code == CLOSE:
                raise Failed("the server closed the WebSocket")
            elif code != PONG:
                whole += payload
                if final:
                    return whole

    def close(self) -> None:
        self._socket.close()

    def _next(self) -> tuple[int, bool, bytes]:
        self._need(2)
        first, length = self._data[0], self._data[1] & 127
        start = 2
        if length == 126:
            self._need(4)
            [length] = struct.unpack(">H", self._data[2:4])
            start = 4
        elif length == 127:
            self._need(10)
            [length] = struct.unpack(">Q", self._data[2:10])
            start = 10
        self._need(start + length)
        payload = bytes(self._data[start : start + length])
        del self._data[: start + length]
        return first & 15, bool(first & 128), payload

    def _need(self, count: int) -> None:
        while len(self._data) < count:
            some = self._socket.recv(1 << 20)
            if not some:
                raise Failed("the server closed the WebSocket")
            self._data += some

    @staticmethod
    def _frame(payload: bytes, code: int) -> bytes:
        """Masked by zeros, which costs the client nothing and the server the same."""
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65536:
            size = b"\xfe" + struct.pack(">H", length)
        else:
            size = b"\xff" + struct.pack(">Q", length)
        return bytes([0x80 | code]) + size + bytes(4) + payload


class EventSource:
    """The events of an account (RFC 8620 §7.3)."""

    def __init__(self, account: Account) -> None:
        url = urljoin(account.url, account.session["eventSourceUrl"])
        for name, value in (("types", "*"), ("closeafter", "no"), ("ping", "0")):
            url = url.replace(f"{{{name}}}", value)
        self._socket, self._data = _opened(account, url, {"Accept": "text/event-stream"}, b" 200 ")

    def wait(self, timeout: float) -> float | None:
        """The time when the next change is told, or None if that takes too long."""
        self._socket.settimeout(timeout)
        try:
            while b"StateChange" not in self._data or not self._data.rstrip(b"\r").endswith(b"\n"):
                some = self._socket.recv(65536)
                if not some:
                    raise Failed("the event source was closed")
                self._data += some
            return time.perf_counter()
        except TimeoutError:
            return None
        finally:
            self._data = b""

    def close(self) -> None:
        self._socket.close()

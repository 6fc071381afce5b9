"""An HTTP/1.1 client that costs next to nothing while it is timed.

A request is one write; a response is read until it is complete and looked at
afterwards.  What is timed is from the first octet sent to the last received.
"""

import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]  # by lower-case name
    body: bytes


class Connection:
    """To one server; kept open, and opened again where the server has closed it."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self.tls = context if parts.scheme == "https" else None
        self.seconds = 0.0  # of the last exchange
        self.octets = 0  # of the last response, with its head
        self._socket: socket.socket | None = None

    def open(self) -> socket.socket:
        connection = socket.create_connection(self.place, timeout=300)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return (
            self.tls.wrap_socket(connection, server_hostname=self.place[0])
            if self.tls
            else connection
        )

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def exchange(self, request: bytes) -> Response:
        """Send the octets of a whole request and read the response."""
        for attempt in (1, 2):
            if self._socket is None:
                self._socket = self.open()
            begin = time.perf_counter()
            try:
                self._socket.sendall(request)
                head, body = self._read(self._socket, request.startswith(b"HEAD "))
            except OSError:
                self.close()
                if attempt == 2:  # an idle connection may have been closed under us: once more
                    raise
                continue
            self.seconds = time.perf_counter() - begin
            self.octets = len(head) + len(body)
            return self._response(head, body)
        raise AssertionError("unreachable")

    def _read(self, connection: socket.socket, bodiless: bool) -> tuple[bytes, bytes]:
        """The head of a response and its body, as they came."""
        data = bytearray()
        while (end := data.find(HEAD_END)) < 0:
            _receive(connection, data, 65536)
        head, data = bytes(data[:end]), data[end + 4 :]
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        if bodiless or lower[9:12] in (b"204", b"304"):
            return head, b""
        if at >= 0:
            stop = lower.find(b"\r\n", at + 2)
            length = int(lower[at + 17 : stop if stop > 0 else None])
            while len(data) < length:
                _receive(connection, data, min(1 << 20, length - len(data)))
        elif b"transfer-encoding: chunked" in lower:
            while not _is_complete(data):
                _receive(connection, data, 65536)
        else:
            raise OSError("a response of unknown length")
        return head, bytes(data)

    @staticmethod
    def _response(head: bytes, body: bytes) -> Response:
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _joined(body)
        return Response(int(status.split(" ")[1]), headers, body)


def _receive(connection: socket.socket, data: bytearray, most: int) -> None:
    some = connection.recv(most)
    if not some:
        raise ConnectionError("the server closed the connection")
    data += some


def _is_complete(body: bytearray) -> bool:
    """May this be all of a chunked body?  Only its end is looked at, unless it looks like one."""
    if not body.endswith(HEAD_END) or not (body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n")):
        return False
    try:
        _joined(bytes(body))
    except ValueError:
        return False
    return True


def _joined(body: bytes) -> bytes:
    """The content of a chunked body; ValueError if it is not all there."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        if end + 2 + size + 2 > len(body):
            raise ValueError("a chunk is not complete")
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size

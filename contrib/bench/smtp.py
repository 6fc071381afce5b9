"""Deliver many messages by SMTP or LMTP, at little cost to whoever shares the machine."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from corpus import Message


class Refused(Exception):
    """The server did not take a message."""


class Sender:
    """One connection to `[lmtp://]HOST:PORT`; the envelope goes in one write (RFC 2920)."""

    def __init__(self, address: str) -> None:
        self.lmtp = address.startswith("lmtp://")
        host, _, port = address.removeprefix("lmtp://").removeprefix("smtp://").rpartition(":")
        self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self._socket.makefile("rb")
        self._expect(b"220")
        self._socket.sendall((b"LHLO" if self.lmtp else b"EHLO") + b" bench.example\r\n")
        self._expect(b"250")

    def send(self, envelope: bytes, content: bytes) -> None:
        """One transaction, of the octets of both."""
        self._socket.sendall(envelope)
        self._expect(b"250")
        self._expect(b"250")
        self._expect(b"354")
        self._socket.sendall(content)
        self._expect(b"250")

    def close(self) -> None:
        self._socket.sendall(b"QUIT\r\n")
        self._socket.close()

    def _expect(self, code: bytes) -> None:
        while (line := self._input.readline())[3:4] == b"-":
            pass
        if not line.startswith(code):
            raise Refused(line.decode("utf-8", "replace").strip() or "the connection was closed")


def transaction(message: Message, recipient: str) -> tuple[bytes, bytes]:
    """The octets of the envelope and of the content, dots stuffed (RFC 5321 §4.5.2)."""
    envelope = f"MAIL FROM:<{message.sender}> BODY=8BITMIME\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
    raw = message.raw if message.raw.endswith(b"\r\n") else message.raw + b"\r\n"
    stuffed = raw.replace(b"\r\n.", b"\r\n..")
    return envelope.encode(), (b"." if raw.startswith(b".") else b"") + stuffed + b".\r\n"


def deliver(
    address: str,
    recipient: str,
    messages: Iterable[Message],
    senders: int,
    delivered: Callable[[], None] = lambda: None,
) -> float:
    """Send `messages` over `senders` connections at once; returns the seconds it took.

    The connections are open before the time starts, and the first messages are made.
    """
    made = (transaction(message, recipient) for message in messages)
    transactions = iter(list(made)) if isinstance(messages, list) else made
    lock = threading.Lock()
    failures: list[Exception] = []
    connections = [Sender(address) for _ in range(senders)]

    def send(sender: Sender) -> None:
        while not failures:
            with lock:
                some = next(transactions, None)
            if some is None:
                return
            try:
                sender.send(*some)
            except Exception as error:
                failures.append(error)
                return
            delivered()

    begin = time.perf_counter()
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(send, connections))
    seconds = time.perf_counter() - begin
    if failures:
        raise failures[0]
    for sender in connections:
        sender.close()
    return seconds

"""SMTP that no honest client speaks: a clear reply, nothing stored, a daemon that goes on."""

import contextlib
import smtplib
import socket
from collections.abc import Callable, Iterator

import pytest

from mailhive.testing.process import DaemonProcess

ENVELOPE = b"EHLO client.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.org>\r\n"


@pytest.fixture
def peer(daemon: DaemonProcess, jmap: Callable) -> Iterator[socket.socket]:
    """A connection; afterwards the daemon takes mail, and has stored only that."""
    client = jmap(daemon)
    state = client.call("Email/get", ids=[])["state"]
    with socket.create_connection(("127.0.0.1", daemon.smtp_port), timeout=100) as connection:
        assert connection.recv(1000).startswith(b"220 ")
        yield connection
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100) as smtp:
        smtp.sendmail("a@example.net", ["alice@example.org"], b"Subject: still here\r\n\r\n.\r\n")
    (created,) = client.call("Email/changes", sinceState=state)["created"]
    (email,) = client.call("Email/get", ids=[created], properties=["subject"])["list"]
    assert email["subject"] == "still here"
    assert "Traceback" not in daemon.log()


def finish(connection: socket.socket) -> bytes:
    """What the daemon says until it closes."""
    said = b""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            said += data
    return said


def codes(said: bytes) -> list[int]:
    """Codes of the replies, one per reply."""
    return [int(line[:3]) for line in said.split(b"\r\n") if line[3:4] in {b" ", b""} and line]


def send(connection: socket.socket, octets: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        connection.sendall(octets)


COMMANDS = {
    "binary": bytes(range(256)) * 100 + b"\r\n",
    "nuls": b"\0" * 10_000 + b"\r\n",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "long-line": b"EHLO " + b"x" * 2_000_000 + b"\r\n",
    "no-line-end": b"x" * 5_000_000,
    "bare-line-feeds": b"NOOP\n" * 1_000,
    "bare-carriage-returns": b"NOOP\r" * 1_000,
    "many-errors": b"XYZZY\r\n" * 10_000,
    "bad-parameters": ENVELOPE[:21] + b"MAIL FROM:<a@b> SIZE=" + b"9" * 400 + b"\r\n",
    "eight-bit-path": ENVELOPE[:21] + b"MAIL FROM:<\xff\xfe@example.net>\r\n",
    "long-path": ENVELOPE[:21] + b"MAIL FROM:<" + b"a" * 900 + b"@example.net>\r\n",
    "data-first": b"DATA\r\n" * 5,
    "chunk-first": b"EHLO x\r\nBDAT 5 LAST\r\nhello",
    "chunk-of-many": ENVELOPE + b"BDAT 99999999999999999999999999 LAST\r\n",
    "negative-chunk": ENVELOPE + b"BDAT -1 LAST\r\n",
    "message-unfinished": ENVELOPE + b"DATA\r\nSubject: cut\r\n\r\n" + b"line\r\n" * 1_000,
    "chunk-unfinished": ENVELOPE + b"BDAT 1000 LAST\r\nSubject: cut\r\n",
    "smuggled-lf": ENVELOPE
    + b"DATA\r\nSubject: 1\r\n\r\nx\n.\n"
    + ENVELOPE[21:]
    + b"DATA\r\ny\r\n",
    "smuggled-cr": ENVELOPE
    + b"DATA\r\nSubject: 1\r\n\r\nx\r\n.\r"
    + ENVELOPE[21:]
    + b"DATA\r\ny\r\n",
}


@pytest.mark.parametrize("octets", COMMANDS.values(), ids=COMMANDS)
def test_odd_commands(peer: socket.socket, octets: bytes) -> None:
    send(peer, octets)
    said = finish(peer)
    assert all(line[:3].isdigit() for line in said.split(b"\r\n") if line)
    assert b"Traceback" not in said


def test_an_endless_message_is_cut(peer: socket.socket, daemon: DaemonProcess) -> None:
    peer.sendall(ENVELOPE + b"DATA\r\n")
    block = (b"x" * 900 + b"\r\n") * 100
    sent = 0
    peer.setblocking(False)
    said = b""
    while not any(code >= 400 for code in codes(said)) and sent < 200_000_000:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sent += peer.send(block)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            said += peer.recv(65536)
        if sent > 150_000_000:  # it may read all of it away, to answer at the end
            peer.setblocking(True)
            send(peer, b"\r\n.\r\n")
            said += finish(peer)
            break
    peer.setblocking(True)
    assert codes(said)[-1] in {552, 421, 554}
    assert daemon.memory() < 400_000_000


def test_a_client_that_never_reads(daemon: DaemonProcess, peer: socket.socket) -> None:
    before = daemon.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", daemon.smtp_port), timeout=100)
            stack.enter_context(connection)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                for _ in range(1_000):
                    connection.send(b"EHLO client.example\r\n" * 1_000)
        peer.sendall(b"NOOP\r\n")
        assert peer.recv(1000).startswith(b"250 ")
        assert daemon.memory() < before + 100_000_000

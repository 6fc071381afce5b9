"""Abuse of the three listeners that speak SMTP: each is refused as it should be.

Afterwards nothing is on its way to anybody elsewhere, and the daemon serves the next one.
"""

import base64
import contextlib
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailhive.queue.view import QueuedMessage, queued
from mailhive.sqlite.connection import Connection
from mailhive.testing.process import DaemonProcess, free_port

PLAIN = base64.b64encode(b"\0alice\0wonderland").decode()


class Ports:
    def __init__(self, daemon: DaemonProcess) -> None:
        self.smtp = daemon.smtp_port
        self.submission, self.starttls, self.lmtp = free_port(), free_port(), free_port()
        self.hasty, self.unfinished, self.slow, self.slower = (free_port() for _ in range(4))

    def extra(self, certificate: tuple[Path, Path]) -> str:
        return f"""
[server.listener."submission"]
bind = "127.0.0.1:{self.submission}"
protocol = "submission"
auth-in-clear = true

[server.listener."starttls"]
bind = "127.0.0.1:{self.starttls}"
protocol = "submission"
tls = "starttls"
certificate = "{certificate[0]}"
private-key = "{certificate[1]}"

[server.listener."lmtp"]
bind = "127.0.0.1:{self.lmtp}"
protocol = "lmtp"

[server.listener."hasty"]
bind = "127.0.0.1:{self.hasty}"
protocol = "smtp"
command-timeout = "1s"
session-timeout = "4s"

[server.listener."unfinished"]
bind = "127.0.0.1:{self.unfinished}"
protocol = "smtp"
data-timeout = "1s"

[server.listener."slow"]
bind = "127.0.0.1:{self.slow}"
protocol = "smtp"
greeting-delay = "1s"
trusted-networks = []

[server.listener."slower"]
bind = "127.0.0.1:{self.slower}"
protocol = "smtp"
greeting-delay = "5s"
trusted-networks = []
"""


class Line:
    """A connection, by octets."""

    def __init__(self, port: int, *, greeting: bytes = b"220 ") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=100)
        self._input = self.socket.makefile("rb")
        if greeting:
            assert self.reply().startswith(greeting)

    def send(self, octets: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(octets)

    def reply(self) -> bytes:
        """All lines of a reply; empty at the end."""
        lines = []
        with contextlib.suppress(ConnectionError):
            while line := self._input.readline():
                lines.append(line)
                if line[3:4] != b"-":
                    break
        return b"".join(lines)

    def ask(self, command: str) -> int:
        """The code of the reply to a command."""
        self.send(command.encode() + b"\r\n")
        return int(self.reply()[:3] or 0)

    def replies(self) -> list[int]:
        """The codes of all replies until the end."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        codes = []
        while reply := self.reply():
            codes.append(int(reply[:3]))
        return codes

    def close(self) -> None:
        self._input.close()
        self.socket.close()


def waiting(daemon: DaemonProcess) -> list[QueuedMessage]:
    """What is on its way out."""
    connection = Connection(daemon.data / "outbox.sqlite")
    try:
        return queued(connection)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[tuple[DaemonProcess, Ports]]:
    daemon = DaemonProcess(tmp_path_factory.mktemp("abuse"))
    ports = Ports(daemon)
    daemon.extra = ports.extra(certificate)
    with daemon:
        yield daemon, ports


@pytest.fixture
def ports(server: tuple[DaemonProcess, Ports], jmap: Callable[..., Any]) -> Iterator[Ports]:
    """The listeners; afterwards nobody has got anything but what was sent then."""
    daemon, ports = server
    client = jmap(daemon)
    state = client.call("Email/get", ids=[])["state"]
    yield ports
    assert waiting(daemon) == []
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100) as smtp:
        smtp.sendmail("a@example.net", ["alice@example.org"], b"Subject: still here\r\n\r\n.\r\n")
    (created,) = client.call("Email/changes", sinceState=state)["created"]
    (email,) = client.call("Email/get", ids=[created], properties=["subject"])["list"]
    assert email["subject"] == "still here"
    assert "Traceback" not in daemon.log()


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    opened: list[Line] = []

    def connect(port: int, **more: Any) -> Line:
        opened.append(Line(port, **more))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


# Relaying

#: Ways to write somebody elsewhere, or to seem to be here.
ELSEWHERE = [
    "victim@far.example",
    "@example.org:victim@far.example",
    "@mail.example.org,@example.org:victim@far.example",
    "victim%far.example@example.org",
    "victim%far.example@mail.example.org",
    "victim%far.example@[127.0.0.1]",
    "victim%far.example",
    "victim",
    '"victim@far.example"',
    '"victim@far.example"@example.org',
    '"victim%far.example"@example.org',
    '"victim\\@far.example"@example.org',
    "far.example!victim",
    "far.example!victim@example.org",
    "example.org!far.example!victim@mail.example.org",
    "victim@[127.0.0.1]",
    "victim@[IPv6:::1]",
    "victim@127.0.0.1",
    "victim@localhost",
    "postmaster@far.example",
    "victim@far.example@example.org",
    "alice@example.org@far.example",
    "alice@example.org,victim@far.example",
    "alice@example.org><victim@far.example",
    "alice@example.org%far.example",
    "alice@example.org.far.example",
    "alice@example.org\0.far.example",
    "alice@example.org\t.far.example",
    "alice@",
    "@far.example",
    "alice @example.org",
    # An address of another kind of letters is of another domain or person.
    "victim@f\u00e4r.example",
    "alice@ex\u0430mple.org",
    "\u0430lice@example.org",
    "alice@example.org\u200b.far.example",
    "alice\uff20far.example@example.org",
]
#: These are alice, and get no further than that (RFC 5321 §4.1.1.3: routes are passed over).
ALICE = ["@far.example:alice@example.org", '"alice"@example.org', "alice@EXAMPLE.org"]
SENDERS = ["", "alice@example.org", "a@example.net"]


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("listener", ["smtp", "lmtp"])
def test_nobody_relays(ports: Ports, line: Callable[..., Line], listener: str, sender: str) -> None:
    hello = "LHLO" if listener == "lmtp" else "EHLO"
    for number, address in enumerate([*ELSEWHERE, *ALICE]):
        if number % 10 == 0:  # too many of them are cut
            client = line(getattr(ports, listener))
            assert client.ask(f"{hello} client.example") == 250
        smtputf8 = "" if address.isascii() else " SMTPUTF8"
        assert client.ask(f"MAIL FROM:<{sender}>{smtputf8}") == 250
        code = client.ask(f"RCPT TO:<{address}>")
        assert code == 250 if address in ALICE else 500 < code < 560, (address, code)
        if address not in ALICE:
            assert client.ask("DATA") in {503, 554}
        assert client.ask("RSET") == 250
        assert client.ask("VRFY victim@far.example") in {252, 502}
        assert client.ask("EXPN victim@far.example") == 502


def test_nobody_relays_who_has_not_logged_in(ports: Ports, line: Callable[..., Line]) -> None:
    for port in (ports.submission, ports.starttls):
        client = line(port)
        assert client.ask("EHLO client.example") == 250
        for sender in SENDERS:
            assert client.ask(f"MAIL FROM:<{sender}>") == 530
        assert client.ask("RCPT TO:<alice@example.org>") == 503
        assert client.ask("DATA") == 503


def test_who_has_logged_in_is_held_to_addresses(ports: Ports, line: Callable[..., Line]) -> None:
    client = line(ports.submission)
    assert client.ask("EHLO client.example") == 250
    assert client.ask(f"AUTH PLAIN {PLAIN}") == 235
    for sender in ("bob@example.org", "alice@far.example", "alice%far.example@example.org"):
        assert client.ask(f"MAIL FROM:<{sender}>") == 550
    assert client.ask("MAIL FROM:<alice@example.org>") == 250
    for address in (
        "victim%far.example@example.org",
        '"victim@far.example"@example.org',
        "far.example!victim@example.org",
        "nobody@example.org",
        "victim@far.example@example.org",
    ):
        assert 500 < client.ask(f"RCPT TO:<{address}>") < 560, address


# Before the greeting, and before TLS


JUNK = [
    b"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    bytes(range(256)) * 10_000,
]


def test_junk_before_the_greeting(ports: Ports, line: Callable[..., Line]) -> None:
    clients = []
    for junk in JUNK:
        clients.append(line(ports.slower, greeting=b""))
        clients[-1].send(junk)
        clients[-1].send(b"\r\nSubject: junk\r\n\r\n.\r\n")
    for client in clients:  # the answer comes when the greeting would
        codes = client.replies()
        assert not codes or codes[0] == 554
        assert not {250, 354} & set(codes)


def test_who_waits_for_the_greeting_is_served(ports: Ports, line: Callable[..., Line]) -> None:
    assert line(ports.slow).ask("EHLO client.example") == 250


@pytest.mark.parametrize(
    "behind",
    [
        b"EHLO evil.example\r\n",
        b"AUTH PLAIN " + PLAIN.encode() + b"\r\nMAIL FROM:<alice@example.org>\r\n",
        b"\r\n",
        b"x",
    ],
)
def test_nothing_slips_in_before_tls(
    ports: Ports, line: Callable[..., Line], behind: bytes
) -> None:
    client = line(ports.starttls)
    assert client.ask("EHLO client.example") == 250
    client.send(b"STARTTLS\r\n" + behind)
    assert all(code >= 500 or code == 421 for code in client.replies())


def test_what_was_said_before_tls_is_forgotten(
    ports: Ports, certificate: tuple[Path, Path]
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    with smtplib.SMTP("localhost", ports.starttls, timeout=100) as smtp:
        smtp.ehlo()
        assert smtp.docmd("AUTH", f"PLAIN {PLAIN}")[0] in {502, 503, 504, 538}
        smtp.starttls(context=trust)
        assert smtp.docmd("MAIL", "FROM:<alice@example.org>")[0] == 503
        smtp.ehlo()
        assert smtp.docmd("MAIL", "FROM:<alice@example.org>")[0] == 530


# Smuggling: an end of data that others may not see, with a second message behind it

ENDS = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r.\n",
    b"\r\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\r\n. \r\n",
    b"\x85.\x85", b"\r\n\x85.\r\n", b"\x0b.\x0b", b"\x0c.\x0c",
]  # fmt: skip


def smuggle(end: bytes, hello: str) -> bytes:
    return (
        b"Subject: first\r\n\r\nx" + end + b"%b evil.example\r\n" % hello.encode()
        + b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
        b"Subject: smuggled\r\n\r\ny\r\n.\r\n"
    )  # fmt: skip


@pytest.mark.parametrize("listener", ["smtp", "submission", "lmtp"])
def test_smuggling(
    server: tuple[DaemonProcess, Ports],
    jmap: Callable[..., Any],
    line: Callable[..., Line],
    listener: str,
) -> None:
    daemon, ports = server
    bob = jmap(daemon, "bob")
    hello = "LHLO" if listener == "lmtp" else "EHLO"
    for end in ENDS:
        client = line(getattr(ports, listener))
        assert client.ask(f"{hello} client.example") == 250
        if listener == "submission":
            assert client.ask(f"AUTH PLAIN {PLAIN}") == 235
        assert client.ask("MAIL FROM:<alice@example.org>") == 250
        assert client.ask("RCPT TO:<bob@example.org>") == 250
        assert client.ask("DATA") == 354
        header = b"From: alice@example.org\r\n" if listener == "submission" else b""
        client.send(header + smuggle(end, hello))
        # One message, one reply: it is refused, or all of it is its content.
        codes = client.replies()
        assert len(codes) == 1 and codes[0] in {250, 550, 554}, (end, codes)
        if b"\n" in end.replace(b"\r\n", b"") or b"\r" in end.replace(b"\r\n", b""):
            assert codes[0] != 250, end
    while waiting(daemon):
        time.sleep(0.02)
    for client in (bob, jmap(daemon)):
        assert client.call("Email/query", filter={"subject": "smuggled"})["ids"] == []


# Too much, and too slow


def test_ten_thousand_recipients(
    server: tuple[DaemonProcess, Ports], ports: Ports, line: Callable[..., Line]
) -> None:
    daemon, _ = server
    before = daemon.memory()
    client = line(ports.smtp)
    client.send(b"EHLO client.example\r\nMAIL FROM:<a@example.net>\r\n")
    assert client.reply()[:3] == client.reply()[:3] == b"250"
    codes = []
    for _ in range(100):
        client.send(b"RCPT TO:<alice@example.org>\r\n" * 100)
        codes += [client.reply()[:3] for _ in range(100)]
    # RFC 5321 §4.5.3.1.10
    assert codes == [b"250"] * 1_000 + [b"452"] * 19 + [b"421"] + [b""] * 8_980 or (
        codes == [b"250"] * 1_000 + [b"452"] * 9_000
    )
    unknown = line(ports.smtp)
    unknown.send(b"EHLO client.example\r\nMAIL FROM:<a@example.net>\r\n")
    unknown.send(b"".join(b"RCPT TO:<u%d@example.org>\r\n" % n for n in range(10_000)))
    codes_of = unknown.replies()
    assert set(codes_of[2:-1]) == {550} and codes_of[-1] == 421 and len(codes_of) < 60
    assert daemon.memory() < before + 50_000_000


def test_slow_clients_are_cut_and_hold_up_nobody(ports: Ports, line: Callable[..., Line]) -> None:
    silent = line(ports.hasty)
    dripping = line(ports.hasty)
    sending = line(ports.unfinished)
    for command in (
        "EHLO client.example", "MAIL FROM:<a@example.net>", "RCPT TO:<alice@example.org>"
    ):  # fmt: skip
        assert sending.ask(command) == 250
    assert sending.ask("DATA") == 354
    sending.send(b"Subject: never\r\n")
    dripping.socket.settimeout(0.1)
    said = b""
    while not said:  # a letter at a time; the command as a whole has a second
        dripping.send(b"x")
        with contextlib.suppress(TimeoutError):
            said = dripping.socket.recv(1_000)
    assert said.startswith(b"421 4.4.2 ")
    assert silent.reply().startswith(b"421 4.4.2 ")
    assert sending.reply().startswith(b"421 4.4.2 ")
    assert silent.reply() == sending.reply() == b""
    # Busy, but for ever: the connection has a life.
    busy = line(ports.hasty)
    while busy.ask("NOOP") == 250:
        pass


def test_passwords_cannot_be_tried_for_ever(
    server: tuple[DaemonProcess, Ports], ports: Ports, line: Callable[..., Line]
) -> None:
    wrong = base64.b64encode(b"\0bob\0wrong").decode()
    codes: list[int] = []
    looked_at = 0.0
    for _ in range(5):
        client = line(ports.submission)
        client.ask("EHLO client.example")
        asked = time.monotonic()
        while code := client.ask(f"AUTH PLAIN {wrong}"):
            codes.append(code)
            if code == 535:
                looked_at = asked
            asked = time.monotonic()
    assert set(codes) <= {535, 454, 421} and 454 in codes
    assert len(codes) < 150
    client = line(ports.submission)
    client.ask("EHLO client.example")
    # Not for the right one either, who is guessed by then (and alice is not meant).
    right = base64.b64encode(b"\0bob\0builder").decode()
    code = client.ask(f"AUTH PLAIN {right}")
    # After five failures the next attempt waits for a second, and twice as long after each more.
    assert code == 454 or time.monotonic() - looked_at >= 2 ** (codes.count(535) - 5)


@pytest.mark.parametrize(
    "command",
    [
        "AUTH",
        "AUTH PLAIN =",
        "AUTH PLAIN ====",
        "AUTH PLAIN " + "A" * 12_000,
        "AUTH PLAIN " + base64.b64encode(b"\0" * 500).decode(),
        "AUTH PLAIN " + base64.b64encode(b"bob\0alice\0wonderland").decode(),
        "AUTH CRAM-MD5",
        "AUTH XOAUTH2 " + base64.b64encode(b"user=alice\x01auth=Bearer x\x01\x01").decode(),
        "AUTH OAUTHBEARER x",
    ],
)
def test_odd_logins(ports: Ports, line: Callable[..., Line], command: str) -> None:
    client = line(ports.submission)
    client.ask("EHLO client.example")
    code = client.ask(command)
    if code == 334:
        code = client.ask("")
    assert 500 <= code < 560 or code == 421
    assert client.ask("MAIL FROM:<alice@example.org>") in {530, 0}

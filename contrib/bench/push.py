#!/usr/bin/env python3
"""Measure how fast, and at what cost, a JMAP server tells many clients of new mail.

TARGET and --to are patterns with {n} for the number of a user, from 0 on:

    push.py --config 100 > bench.toml && twistd -n --pidfile= mailhive -c bench.toml
    push.py --users 100 --sockets 20 --sources 20 --pid PID --smtp 127.0.0.1:2525 \\
        --to 'user{n}@example.org' 'http://user{n}:secret{n}@127.0.0.1:8080/.well-known/jmap'
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import re
import resource
import smtplib
import statistics
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

CONFIG = """\
[server.listener.jmap]
bind = "127.0.0.1:8080"
protocol = "jmap"
url = "http://127.0.0.1:8080"
max-connections = 20_000
max-connections-per-address = 20_000
[server.listener.smtp]
bind = "127.0.0.1:2525"
protocol = "smtp"
[store.sqlite]
type = "sqlite"
open-accounts = {users}
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""
PRINCIPAL = """\
[[directory.memory.principals]]
name = "user{n}"
secret = "secret{n}"
email = "user{n}@example.org"
"""
CHANGE = re.compile(rb'"@type":\s*"StateChange"')
TEXT, PING, PONG = 0x81, 0x89, 0x8A
ENABLE = b'{"@type":"WebSocketPushEnable","dataTypes":["Email"]}'


class Client(asyncio.Protocol):
    """A connection that notes when it hears of a change."""

    def __init__(self, request: bytes, status: bytes, after: bytes = b"") -> None:
        self.request, self.status, self.after = request, status, after
        self.ready = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()
        self.heard: list[float] = []

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            self.heard += [time.monotonic()] * len(CHANGE.findall(data))
            if data[0] == PING and self.after:  # which comes when nothing else does
                self.transport.write(masked(data[2:], PONG))
        elif self.status not in data.split(b"\r\n", 1)[0]:
            self.ready.set_exception(SystemExit(f"refused: {data[:300]!r}"))
        else:
            if self.after:
                self.transport.write(self.after)
            self.ready.set_result(None)

    def connection_lost(self, _) -> None:
        self.lost.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(SystemExit("the server closed the connection"))


@dataclass
class User:
    """One user's URLs and clients."""

    to: str
    login: str
    websocket: str
    event_source: str
    clients: list[Client] = field(default_factory=list)

    @classmethod
    def find(cls, target: str, to: str) -> "User":
        url = urllib.parse.urlsplit(target)
        login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        plain = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
        request = urllib.request.Request(plain, headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request) as answer:
            session = json.load(answer)
        websocket = session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"]
        return cls(to, login, websocket, session["eventSourceUrl"])

    async def socket(self) -> Client:
        lines = [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Protocol: jmap",
        ]
        return await self._connect(self.websocket, lines, b" 101 ", masked(ENABLE))

    async def source(self) -> Client:
        url = self.event_source
        for name, value in (("types", "Email"), ("closeafter", "no"), ("ping", "0")):
            url = url.replace(f"{{{name}}}", value)
        return await self._connect(url, [], b" 200 ")

    async def _connect(self, url: str, lines: list[str], status: bytes, after=b"") -> Client:
        parts = urllib.parse.urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        head = [
            f"GET {path} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Authorization: Basic {self.login}",
        ]
        request = "\r\n".join([*head, *lines, "", ""]).encode()
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: Client(request, status, after), parts.hostname, parts.port
        )
        await client.ready
        self.clients.append(client)
        return client


def masked(content: bytes, kind: int = TEXT) -> bytes:
    """A short frame of a client, whose mask is zero (RFC 6455 §5.2)."""
    return bytes([kind, 0x80 | len(content), 0, 0, 0, 0]) + content


class Server:
    """What the process costs."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid

    def memory(self) -> int:
        """Octets resident."""
        if self.pid is None:
            return 0
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def cpu(self) -> float:
        """Seconds of processor time used."""
        if self.pid is None:
            return 0.0
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def deliver(address: tuple[str, int], recipients: list[str]) -> float:
    """Send one message; the time of its 250."""
    with smtplib.SMTP(*address) as smtp:
        smtp.ehlo()
        smtp.mail("bench@example.net")
        for recipient in recipients:
            assert smtp.rcpt(recipient)[0] == 250
        code, text = smtp.data(b"Subject: bench\r\n\r\nbody\r\n")
        at = time.monotonic()
        assert code == 250, text
    return at


async def round_of(users: list[User], address: tuple[str, int], slow=()) -> list[float]:
    """Deliver one message to these users; seconds from the 250 to each client's StateChange."""
    clients = [c for user in users for c in user.clients if c not in slow]
    for client in clients:
        client.heard.clear()
    at = await asyncio.to_thread(deliver, address, [user.to for user in users])
    for _ in range(300):
        if all(client.heard or client.lost.done() for client in clients):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.3)  # nobody should hear of it twice
    counts = [len(client.heard) for client in clients]
    if set(counts) != {1}:
        print(f"  {counts.count(0)} clients heard nothing, {sum(n > 1 for n in counts)} twice")
    return [client.heard[0] - at for client in clients if client.heard]


def row(name: str, latencies: list[float], spent: float) -> None:
    """One line of the table; milliseconds."""
    cuts = statistics.quantiles(latencies, n=100)
    figures = [cuts[49] * 1000, cuts[98] * 1000, max(latencies) * 1000]
    print(f"| {name} | {len(latencies)} | " + " | ".join(f"{f:.0f}" for f in figures), end="")
    print(f" | {spent / len(latencies) * 1e6:.0f} |")


async def measure(options: argparse.Namespace) -> None:
    host, _, port = options.smtp.rpartition(":")
    address = host, int(port)
    server = Server(options.pid)
    users = [
        User.find(options.target.format(n=n), options.to.format(n=n)) for n in range(options.users)
    ]
    await round_of(users, address)  # accounts are open from now on
    before = server.memory()
    for name, each, kind in (
        ("WebSockets", options.sockets, User.socket),
        ("event sources", options.sources, User.source),
    ):
        for user in users:
            await asyncio.gather(*(kind(user) for _ in range(each)))
        await asyncio.sleep(1)
        now, count = server.memory(), each * len(users)
        print(f"{count} {name}: {(now - before) / max(count, 1) / 1024:.1f} KiB each")
        before = now
    start = server.cpu()
    await asyncio.sleep(options.idle)
    print(f"idle: {(server.cpu() - start) / options.idle * 100:.1f} % of a processor")
    print("\n| StateChange after a message to | clients | p50 ms | p99 ms | max ms | CPU µs each |")
    print("|---|---|---|---|---|---|")
    for name, some in (("one user", users[:1]), ("all users", users)):
        latencies, start = [], server.cpu()
        for _ in range(options.rounds):
            latencies += await round_of(some, address)
        row(name, latencies, server.cpu() - start)
    await slow_readers(options, users, address, server)


async def slow_readers(options, users: list[User], address, server: Server) -> None:
    """Clients of the first user stop reading, and mail goes on."""
    slow = set(users[0].clients[::2])
    for client in slow:
        client.transport.pause_reading()
    before, latencies, start = server.memory(), [], server.cpu()
    for _ in range(options.slow):
        latencies += await round_of(users[:1], address, slow)
    row(f"one user, of whose clients {len(slow)} do not read", latencies, server.cpu() - start)
    grown = (server.memory() - before) / 1024
    print(f"\nafter {options.slow} messages: {grown:.0f} KiB more")
    sockets = [client for client in slow if client.after]
    await asyncio.sleep(options.cut)
    for client in sockets:
        client.transport.resume_reading()  # who does not read does not see the end either
    await asyncio.sleep(1)
    cut = sum(client.lost.done() for client in sockets)
    print(f"{cut} of {len(sockets)} WebSockets among them are cut")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", help="session URL with credentials and {n}")
    parser.add_argument("--to", help="address with {n}")
    parser.add_argument("--smtp", default="127.0.0.1:2525", help="HOST:PORT")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--sockets", type=int, default=20, help="WebSockets of each user")
    parser.add_argument("--sources", type=int, default=20, help="event sources of each user")
    parser.add_argument("--rounds", type=int, default=10, help="messages per row")
    parser.add_argument("--slow", type=int, default=50, help="messages of the last row")
    parser.add_argument(
        "--cut", type=float, default=130.0, help="seconds in which who does not read should be cut"
    )
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of looking on")
    parser.add_argument("--pid", type=int, help="the server, for memory and processor time")
    parser.add_argument("--config", type=int, metavar="N", help="print a mailhive.toml of N users")
    options = parser.parse_args()
    if options.config:
        principals = "".join(PRINCIPAL.format(n=n) for n in range(options.config))
        sys.stdout.write(CONFIG.format(users=options.config) + principals)
        return
    if not (options.target and options.to):
        parser.error("TARGET and --to are needed")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    asyncio.run(measure(options))


if __name__ == "__main__":
    main()

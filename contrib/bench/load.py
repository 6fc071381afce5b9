#!/usr/bin/env python3
"""Load mail servers with many senders at once: how much is accepted, and is any of it lost?

    load.py --server mailhive lmtp://127.0.0.1:2424/alice@example.org \\
                http://alice:secret@127.0.0.1:8080/.well-known/jmap PID \\
            --server postfix smtp://127.0.0.1:2526/alice@example.org /var/mail/alice PID

A server is a name, where it takes mail for whom, where that can be counted (a JMAP
session or a Maildir), and its main process.  Several are loaded in turns.
"""

import argparse
import asyncio
import itertools
import os
import pathlib
import random
import re
import smtplib
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import fill
from corpus import Corpus, Message
from jmap import Account
from usage import cpu, memory

#: Messages that each turn is made of, again and again under names of their own.
SAMPLES = 300
#: Seconds in which nothing more arrives, after which what is missing is lost.
PATIENCE = 20
MESSAGE_ID = re.compile(rb"^Message-ID:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)


@dataclass
class Turn:
    """What came of loading a server once."""

    accepted: int = 0
    seconds: float = 0.0
    arrived: int = 0
    idle: int = 0  # octets of memory before
    most: int = 0  # and meanwhile
    cpu: float = 0.0  # seconds of all processors, until everything had arrived
    after: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)  # seconds until 250, by message

    @property
    def lost(self) -> int:
        return max(0, self.accepted - self.arrived)


class Server:
    def __init__(self, name: str, url: str, counted: str, pid: str) -> None:
        parts = urlsplit(url)
        self.name, self.pid = name, int(pid)
        self.is_lmtp, self.recipient = parts.scheme == "lmtp", parts.path.lstrip("/")
        self.host, self.port = parts.hostname, parts.port
        self._account = Account(counted) if "://" in counted else None
        self._maildir = pathlib.Path(counted)
        if self._account is not None:
            self._account.connect()

    def count(self) -> int:
        """The messages that the recipient has."""
        if self._account is not None:
            return fill.total(self._account)
        return sum(1 for place in ("new", "cur") for _ in self._maildir.glob(f"{place}/*"))


class Sender:
    """One connection, over which a message follows the other."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._server.host, self._server.port
        )
        await self._reply()
        self._writer.write(b"LHLO load\r\n" if self._server.is_lmtp else b"EHLO load\r\n")
        await self._reply()

    async def send(self, octets: bytes) -> str | None:
        """None if it is accepted, else the reply.  RFC 2920: a group of commands in one piece."""
        recipient = self._server.recipient.encode()
        self._writer.write(
            b"MAIL FROM:<load@bench.example>\r\nRCPT TO:<%b>\r\nDATA\r\n" % recipient
        )
        replies = [await self._reply() for _ in range(3)]
        if replies[2][:3] == "354":
            self._writer.write(octets)
            replies.append(await self._reply())
        refusal = next((r for r in replies if r[:3] not in ("250", "354")), None)
        if refusal is not None:
            self._writer.write(b"RSET\r\n")
            await self._reply()
        return refusal

    async def _reply(self) -> str:
        while True:
            line = await self._reader.readuntil(b"\n")
            if line[3:4] != b"-":
                return line.decode(errors="replace").strip()

    def close(self) -> None:
        self._writer.close()


def stuffed(message: Message) -> bytes:
    """As DATA takes it, without its Message-ID."""
    lines = MESSAGE_ID.sub(b"", message.raw, count=1).replace(b"\r\n.", b"\r\n..")
    return lines + (b"" if lines.endswith(b"\r\n") else b"\r\n") + b".\r\n"


async def load(server: Server, samples: list[bytes], senders: int, seconds: float) -> Turn:
    """Keep a server busy, and count."""
    turn, before = Turn(idle=memory(server.pid)), server.count()
    connections = [Sender(server) for _ in range(senders)]
    for connection in connections:
        await connection.open()
    numbers, name = itertools.count(), random.randbytes(8).hex().encode()
    begin, used = time.monotonic(), cpu(server.pid)
    deadline = begin + seconds

    async def run(connection: Sender) -> None:
        while (now := time.monotonic()) < deadline:
            number = next(numbers)
            own = b"Message-ID: <%d.%b@bench.example>\r\n" % (number, name)
            try:
                refusal = await connection.send(own + samples[number % len(samples)])
            except (OSError, EOFError) as error:  # whether it counts, nobody can tell
                refusal = f"connection lost: {error}"
                connection.close()
                await connection.open()
            if refusal is None:
                turn.accepted += 1
                turn.waits.append(time.monotonic() - now)
            else:
                turn.refusals[refusal] += 1

    async def watch() -> None:
        while True:
            turn.most = max(turn.most, await asyncio.to_thread(memory, server.pid))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(run, connections))
    turn.seconds = time.monotonic() - begin
    watching.cancel()
    for connection in connections:
        connection.close()
    last = time.monotonic()
    while turn.arrived < turn.accepted and time.monotonic() - last < PATIENCE:
        await asyncio.sleep(0.5)
        arrived = await asyncio.to_thread(server.count) - before
        if arrived > turn.arrived:
            turn.arrived, last = arrived, time.monotonic()
    turn.after = memory(server.pid)
    turn.cpu = cpu(server.pid) - used
    return turn


def row(server: Server, turn: Turn) -> str:
    waits = sorted(turn.waits) or [0.0]
    numbers = (
        (turn.accepted / turn.seconds, 10),
        (turn.accepted, 10),
        (turn.refusals.total(), 9),
        (turn.lost, 7),
        (waits[len(waits) // 2] * 1000, 9),
        (waits[len(waits) * 99 // 100] * 1000, 9),
        (turn.cpu / max(turn.accepted, 1) * 1000, 9),
        *((octets / 1e6, 9) for octets in (turn.idle, turn.most, turn.after)),
    )
    return f"{server.name:15}" + "".join(
        f"{number:>{width}.3g}" if number < 100 else f"{number:>{width}.0f}"
        for number, width in numbers
    )


def main() -> str | None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = ("NAME", "URL", "COUNTED", "PID")
    add("--server", nargs=4, action="append", required=True, metavar=names)
    add("--senders", type=int, default=50, metavar="N", help="connections at once (50)")
    add("--seconds", type=float, default=60.0, metavar="S", help="of each turn (60)")
    add("--turns", type=int, default=1, metavar="N", help="of each server (1)")
    add("--seed", type=int, default=1, help="of the corpus (1)")
    options = parser.parse_args()
    corpus = Corpus(options.seed)
    samples = [stuffed(corpus[i]) for i in range(SAMPLES)]
    servers = [Server(*words) for words in options.server]
    print(
        f"{'':15}{'msg/s':>10}{'accepted':>10}{'refused':>9}{'lost':>7}{'p50 ms':>9}"
        f"{'p99 ms':>9}{'CPU ms':>9}{'MB idle':>9}{'most':>9}{'after':>9}"
    )
    lost = 0
    for _ in range(options.turns):
        for server in servers:
            turn = asyncio.run(load(server, samples, options.senders, options.seconds))
            lost += turn.lost
            print(row(server, turn), flush=True)
            for reply, count in turn.refusals.most_common(3):
                print(f"{'':15}{count:>10} x {reply}")
    return f"{lost} messages are lost" if lost else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, EOFError, smtplib.SMTPException) as error:
        sys.exit(f"load: {error}")
    except KeyboardInterrupt:
        os._exit(130)

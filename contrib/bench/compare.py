#!/usr/bin/env python3
"""Measure mailhive beside its peers and beside the limit, and write docs/performance.md.

    compare.py                       everything; accounts are filled first, which takes long
    compare.py --sizes 1000 --rounds 10 --rows 'page*|flag*'

Everything lies in --directory, is on the loopback and is stopped in the end; accounts that are
filled stay for the next time.  Cyrus is installed from Debian's archive, so this is for root.
A peer that somebody else has started, such as Stalwart or James, is `--peer NAME=URL`: a session
URL with credentials, whose account is filled by Email/import where it has too few messages.
"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import fill
import usage
from corpus import Corpus
from jmap import Account
from limit import Limit, bare
from peers.cyrus import Cyrus
from peers.mailhive import ROOT, Mailhive, free_port
from report import write_report
from rows import Row, Site
from table import chosen, measure, print_heading, print_row

MIXED = [f"mixed{n}" for n in range(8)]
MIXED_SIZE = 1000
STARTS = 3


def user_of(size: int) -> str:
    return f"size{size}"


def fill_mailhive(directory: pathlib.Path, size: int, seed: int) -> None:
    """One data directory per size, the smallest with the eight other users."""
    accounts = [f"{user_of(size)}={size}"]
    if size == MIXED_SIZE:
        accounts += [f"{name}={MIXED_SIZE}" for name in MIXED]
    done = directory / "filled"
    if not done.exists():
        script = pathlib.Path(__file__).parent / "bulk.py"
        command = [sys.executable, script, directory / "data", *accounts, "--seed", str(seed)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(["nice", *map(str, command)], check=True, env=environment)
        done.touch()


class Peer:
    """A server under measurement, with its accounts by size."""

    def __init__(self, server: Any, sizes: list[int]) -> None:
        self.server, self.sizes = server, sizes
        self.starts: list[float] = []
        self.memory = self.disk = 0

    def start(self) -> None:
        for turn in range(STARTS):
            if turn:
                self.server.stop()
            self.starts.append(self.server.start())
        account = Account(self.server.url(user_of(self.sizes[0])))
        account.connect()
        account.close()
        self.memory = usage.memory(self.server.pid)
        self.disk = sum(usage.disk(path) for path in self.server.paths())

    def site(self, size: int, seed: int) -> Site:
        user = user_of(size)
        account = Account(self.server.url(user))
        account.connect()
        account.processor = functools.partial(usage.cpu, self.server.pid)
        others = [self.server.url(name) for name in MIXED] if size == MIXED_SIZE else []
        site = Site(
            f"{self.server.name} {size}",
            account,
            Corpus(seed),
            self.server.smtp(),
            self.server.recipient(user),
            others,
        )
        site.prepare()
        return site

    def about(self, messages: int) -> dict[str, Any]:
        return {
            "server": self.server.name,
            "sizes": self.sizes,
            "start": self.starts,
            "memory": self.memory,
            "memory_after": usage.memory(self.server.pid),
            "disk": self.disk / messages,
        }


def run_row(row: Row, sites: list[Site], limit: Limit, rounds: int) -> dict[str, Any]:
    results = measure(row, sites, rounds)
    first = next((r for r in results if r.exchange is not None), None)
    of_limit = None
    if row.limit and first is not None and first.exchange is not None:
        of_limit = limit.measure(first.exchange, row, rounds).as_json()
    print_row(results)
    return {
        "row": row.name,
        "unit": row.unit,
        "goal": row.goal,
        "indexed": row.indexed,
        "results": {s.name: r.as_json() for s, r in zip(sites, results, strict=True)},
        "limit": of_limit,
    }


def measured(
    peers: list[Peer], extra: list[Site], rows: list[Row], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the table, and what the servers need as such."""
    for peer in peers:
        peer.start()
    sites = [peer.site(size, options.seed) for peer in peers for size in peer.sizes] + extra
    counts = [fill.total(site.account) for site in sites]
    print_heading(sites, counts)
    # What does not depend on the size is measured on each server's first account only.
    firsts, at = list(extra), 0
    for peer in peers:
        firsts.append(sites[at])
        at += len(peer.sizes)
    table = []
    with bare(options.directory / "bare", free_port()) as limit:
        for row in rows:
            of_row = sites if row.sized else [site for site in sites if site in firsts]
            table.append(run_row(row, of_row, limit, options.rounds))
    at, about = 0, []
    for peer in peers:
        messages = sum(counts[at : at + len(peer.sizes)])
        others = len(MIXED) * MIXED_SIZE if MIXED_SIZE in peer.sizes else 0
        # mailhive keeps the octets of a message that several users have once
        once = others if isinstance(peer.server, Cyrus) else 0
        about.append(peer.about(messages + once))
        at += len(peer.sizes)
    return table, about


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--directory", type=pathlib.Path, default=pathlib.Path("/tmp/bench"))
    add("--sizes", default="1000,100000,1000000", help="of the accounts of mailhive")
    add("--cyrus-sizes", default="1000,100000", help="those of Cyrus; empty for no Cyrus")
    add("--workers", default="", help="measure the smallest size with these too, as in '2'")
    add("--peer", action="append", default=[], metavar="NAME=URL", help="another server that runs")
    add("--rows", metavar="PATTERN[|…]", help="only these rows")
    add("--rounds", type=int, default=20)
    add("--seed", type=int, default=1)
    add("--source", type=pathlib.Path, default=ROOT, help="the checkout of mailhive to measure")
    add("--json", type=pathlib.Path, help="all measurements (default: DIRECTORY/results.json)")
    add("--document", type=pathlib.Path, default=ROOT / "docs/performance.md")
    return parser.parse_args()


def others(options: argparse.Namespace) -> list[Site]:
    """Peers that run already."""
    sites = []
    for peer in options.peer:
        name, _, url = peer.partition("=")
        account = Account(url, verify=False)
        account.connect()
        fill.by_import(account, Corpus(options.seed), min(options.sizes))
        site = Site(name, account, Corpus(options.seed))
        site.prepare()
        sites.append(site)
    return sites


def main() -> None:
    options = parse()
    options.directory.mkdir(parents=True, exist_ok=True)
    options.sizes = [int(size) for size in options.sizes.split(",")]
    cyrus_sizes = [int(size) for size in options.cyrus_sizes.split(",") if size]
    workers = [int(count) for count in options.workers.split(",") if count]
    rows = chosen(options.rows)
    with contextlib.ExitStack() as stack:
        peers = []
        lanes = [(size, None) for size in options.sizes]
        for size, count in lanes + [(min(options.sizes), count) for count in workers]:
            name = f"mailhive-{size}" if count is None else f"mailhive-{size}-workers{count}"
            directory = options.directory / name
            directory.mkdir(exist_ok=True)
            fill_mailhive(directory, size, options.seed)
            names = [user_of(size), *MIXED]
            server = Mailhive(directory, names, workers=count, source=options.source)
            stack.callback(server.stop)
            peers.append(Peer(server, [size]))
        if cyrus_sizes:
            cyrus = Cyrus(options.directory / "cyrus")
            stack.callback(cyrus.stop)
            cyrus.start()
            users = [(user_of(size), size) for size in cyrus_sizes]
            for user, size in [*users, *((name, MIXED_SIZE) for name in MIXED)]:
                cyrus.fill(user, Corpus(options.seed), size)
            cyrus.stop()
            peers.append(Peer(cyrus, cyrus_sizes))
        table, about = measured(peers, others(options), rows, options)
    results = {
        "command": " ".join(["contrib/bench/compare.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "sizes": options.sizes,
        "cyrus_sizes": cyrus_sizes,
        "peers": [peer.partition("=")[0] for peer in options.peer],
        "rows": table,
        "workers": workers,
        "servers": about,
    }
    written = options.json or options.directory / "results.json"
    written.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_report(results, options.document)


if __name__ == "__main__":
    main()

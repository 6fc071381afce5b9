#!/usr/bin/env python3
"""Count the instructions that rows take, and hold them to what was recorded.

    instructions.py                  count, and compare with instructions.json
    instructions.py --record         count, and write instructions.json

The daemon runs under valgrind's callgrind, so the numbers depend on neither the machine's speed
nor its load: two runs differ by a percent or so.  Beside each row is what the bare server
(`bare.py`) takes for the same request and the same answer; the ratio of both holds on other
processors and versions of Python as well, and is what is compared.  Exit status is 1 where it
is more than --tolerance above the record.

Counted is what the process does during the one exchange that a row is about, the kernel not.
Before it, what the last one left to do in the background is waited for.  Needs valgrind, and a
minute to start.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import usage
from compare import fill_mailhive, user_of
from corpus import Corpus
from jmap import Account
from limit import Limit, bare
from peers.mailhive import ROOT, Mailhive, free_port
from rows import Measurements, Row, Site
from table import chosen

RECORD = pathlib.Path(__file__).with_suffix(".json")
SIZE = 1000
#: Not those in which time, several connections or many uploads play a part.
ROWS = (
    "core*|mailbox*|inbox*|conv*|page*|changes*|queryc*|bodies*|thread*|search*|flag 1|flag 100"
    "|flag 500|move 1|move 500|download a*|upload*"
)
WARM, TURNS = 2, 20


class Counted:
    """A process under callgrind."""

    def __init__(self, directory: pathlib.Path, name: str) -> None:
        self.out = directory / f"callgrind.{name}"
        self.before = (
            "valgrind",
            "-q",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={self.out}",
        )
        self.pid = 0
        self._dumps = 0
        self._total = 0

    def control(self, *arguments: str) -> None:
        command = ["callgrind_control", *arguments, str(self.pid)]
        subprocess.run(command, check=True, capture_output=True)

    def so_far(self) -> int:
        """Instructions until now, when the process has nothing left to do."""
        before, now = -1.0, usage.cpu(self.pid)
        while now - before > 0.01:
            time.sleep(0.1)
            before, now = now, usage.cpu(self.pid)
        self.control("-d")
        self._dumps += 1
        dump = self.out.with_name(f"{self.out.name}.{self._dumps}")
        self._total += sum(map(int, re.findall(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)))
        dump.unlink()
        return self._total

    def idle(self) -> int:
        """What asking takes, and what the process does meanwhile without a request."""
        before = self.so_far()
        return self.so_far() - before

    def during(self, exchange: Callable[[], Any], turns: int) -> int:
        """Instructions of that many exchanges."""
        idle, before = self.idle(), self.so_far()
        for _ in range(turns):
            exchange()
        return self.so_far() - before - idle


def count(row: Row, site: Site, ours: Counted, limit: Limit, theirs: Counted) -> dict[str, Any]:
    """Instructions of one measurement, and of the bare server for the same."""
    running = row.run(site)
    try:
        for _ in range(WARM):
            exchanges = _exchanges(site, running)
        if exchanges == 1:
            total = ours.during(lambda: next(running), TURNS) / TURNS
        else:  # the last one is what the row is about
            site.account.processor = ours.so_far
            few = range(TURNS // 4)
            total = sum(next(running) and site.account.cpu - ours.idle() for _ in few) / len(few)
        last = site.account.last
    finally:
        site.account.processor = lambda: 0.0
        running.close()
    octets = limit.teach(*last, row.durable)
    for _ in range(WARM):
        limit.connection.exchange(octets)
    floor = theirs.during(lambda: limit.connection.exchange(octets), TURNS) / TURNS
    return {
        "instructions": round(total),
        "bare": round(floor),
        "ratio": round(total / floor, 2),
    }


def _exchanges(site: Site, running: Measurements) -> int:
    """How many exchanges the next measurement takes."""
    calls = itertools.count()
    site.account.processor = lambda: float(next(calls))
    next(running)
    site.account.processor = lambda: 0.0
    return next(calls) // 2  # asked before and after each


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--directory", type=pathlib.Path, default=pathlib.Path("/tmp/bench"))
    add("--rows", metavar="PATTERN[|…]", default=ROWS)
    add("--record", action="store_true")
    add("--tolerance", type=float, default=0.1, help="part by which a ratio may grow (0.1)")
    add("--source", type=pathlib.Path, default=ROOT, help="the checkout of mailhive to count")
    return parser.parse_args()


def main() -> str | None:
    options = parse()
    # One order of sets and dicts, in every run.
    os.environ["PYTHONHASHSEED"] = "0"
    random.seed(1)  # and the same messages
    directory = options.directory / "instructions"
    directory.mkdir(parents=True, exist_ok=True)
    fill_mailhive(directory, SIZE, seed=1)
    ours, theirs = Counted(directory, "mailhive"), Counted(directory, "bare")
    user = user_of(SIZE)
    server = Mailhive(directory, [user], before=ours.before, source=options.source)
    known = json.loads(RECORD.read_text())["rows"] if RECORD.exists() else {}
    table: dict[str, Any] = {}
    grown = []
    try:
        server.start()
        ours.pid = server.pid
        with bare(directory / "bare", free_port(), theirs.before) as limit:
            theirs.pid = limit.pid
            account = Account(server.url(user))
            account.connect()
            site = Site("mailhive", account, Corpus())
            site.prepare()
            for counted in (ours, theirs):
                counted.control("-i", "on")
            print(f"{'':30}{'instructions':>14}{'bare':>12}{'ratio':>8}{'recorded':>10}")
            for row in (r for r in chosen(options.rows) if r.limit and r.name != "page at 50,000"):
                found = table[row.name] = count(row, site, ours, limit, theirs)
                before = known.get(row.name, {}).get("ratio")
                more = before is not None and found["ratio"] > before * (1 + options.tolerance)
                grown += [row.name] if more else []
                line = f"{found['instructions']:>14,}{found['bare']:>12,}{found['ratio']:>8.2f}"
                print(
                    f"{row.name:30}{line}{before or '':>10}{'  MORE' if more else ''}", flush=True
                )
    finally:
        server.stop()
    if options.record:
        about = {
            "command": "contrib/bench/instructions.py --record",
            "python": platform.python_version(),
        }
        RECORD.write_text(json.dumps({**about, "rows": table}, indent=1) + "\n")
        return None
    return f"more than recorded: {', '.join(grown)}" if grown else None


if __name__ == "__main__":
    sys.exit(main())

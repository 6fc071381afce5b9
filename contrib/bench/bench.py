#!/usr/bin/env python3
"""Measure a JMAP server, or two side by side, with the work that mail clients do.

Each TARGET is a session URL with the credentials in it:

    bench.py --fill 1000 http://alice:secret@127.0.0.1:8080/.well-known/jmap
    bench.py --smtp 127.0.0.1:2525 --smtp 127.0.0.1:2526 TARGET TARGET
"""

import argparse
import fnmatch
import json
import pathlib
import platform
import smtplib
import statistics
import sys
from dataclasses import dataclass, field

import fill
from corpus import Corpus
from jmap import Account, Failed
from rows import ROWS, Measurements, Row, Site


@dataclass
class Result:
    """The measurements of one row on one server."""

    row: Row
    values: list[float] = field(default_factory=list)  # ms or msg/s, the first one apart
    first: float | None = None
    error: str | None = None

    def add(self, value: float) -> None:
        value = value * 1000 if self.row.unit == "ms" else value
        if self.first is None:
            self.first = value
        else:
            self.values.append(value)

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values and not self.error else None

    def cells(self) -> list[str]:
        if self.error or self.first is None or not self.values:
            return [self.error or "nothing measured", "", "", ""]
        numbers = (self.first, min(self.values), statistics.median(self.values), max(self.values))
        return [f"{n:,.0f}" if n >= 1000 else f"{n:.3g}" for n in numbers]


def measure(row: Row, sites: list[Site], rounds: int) -> list[Result]:
    """Run a row on every server in turn, a measurement at a time."""
    results = [Result(row) for _ in sites]
    running: dict[int, Measurements] = {i: row.run(site) for i, site in enumerate(sites)}
    for turn in range(min(rounds, row.rounds or rounds) + 1):
        for i in sorted(running, reverse=bool(turn % 2)):
            try:
                results[i].add(next(running[i]))
            except Exception as error:  # of one row on one server; the others go on
                results[i].error = f"{type(error).__name__}: {error}"
                del running[i]
    for i, generator in running.items():
        try:
            generator.close()
        except Exception as error:
            results[i].error = f"cleaning up: {type(error).__name__}: {error}"
    return results


def ratio(first: Result, second: Result) -> str:
    """How many times as fast the first is as the second."""
    if first.median is None or second.median is None:
        return "-"
    by = second.median / first.median
    return f"{by if first.row.unit == 'ms' else 1 / by:.2f}x"


HEADINGS = ["first", "min", "median", "max"]


def print_heading(sites: list[Site]) -> None:
    for site in sites:
        print(f"{site.name}: {site.account.url} as {site.account.user}")
    blocks = "   ".join(f"{site.name:>10}{'':30}" for site in sites) if len(sites) > 1 else ""
    if blocks:
        print(f"\n{'':26}{blocks}")
    columns = "   ".join("".join(f"{h:>10}" for h in HEADINGS) for _ in sites)
    print(f"{'':26}{columns}{'    ratio' if len(sites) > 1 else ''}")


def print_row(results: list[Result]) -> None:
    row = results[0].row
    blocks = []
    for result in results:
        cells = result.cells()
        blocks.append(
            f"  {cells[0]:38.38}" if not cells[1] else "".join(f"{cell:>10}" for cell in cells)
        )
    tail = f"{ratio(*results):>9}" if len(results) == 2 else ""
    label = row.name if row.unit == "ms" else f"{row.name} {row.unit}"
    print(f"{label:26}{'   '.join(blocks)}{tail}", flush=True)


def as_json(sites: list[Site], table: list[list[Result]], counts: list[int]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "servers": [
            {"name": s.name, "url": s.account.url, "messages": n}
            for s, n in zip(sites, counts, strict=True)
        ],
        "rows": [
            {
                "row": results[0].row.name,
                "unit": results[0].row.unit,
                "results": [
                    {"first": r.first, "values": r.values, "median": r.median, "error": r.error}
                    for r in results
                ],
            }
            for results in table
        ],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("target", nargs="+", metavar="TARGET", help="http[s]://USER:PASSWORD@HOST[:PORT]/PATH")
    add("--smtp", action="append", default=[], metavar="HOST:PORT", help="one per target, in order")
    add(
        "--to",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="recipient at each target; by default the user's name, at example.org",
    )
    add("--fill", type=int, default=0, metavar="N", help="first bring the account to N messages")
    add("--fill-by", choices=("import", "smtp"), default="import")
    add("--seed", type=int, default=1, help="of the corpus (default 1)")
    add("--rounds", type=int, default=20, metavar="N", help="measurements per row (default 20)")
    add(
        "--rows", metavar="PATTERN[,…]", help="only rows whose name matches, as in 'search*,flag 1'"
    )
    add("--no-rows", action="store_true", help="fill only")
    add("--list", action="store_true", help="name the rows, and leave")
    add("--json", metavar="FILE", help="write everything that was measured, - for standard output")
    add("--insecure", action="store_true", help="accept any certificate")
    options = parser.parse_args()
    if len(options.target) > 2:
        parser.error("two targets at most")
    if len(options.smtp) > len(options.target) or len(options.to) > len(options.target):
        parser.error("--smtp and --to: no more than there are targets")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def open_sites(options: argparse.Namespace) -> list[Site]:
    sites = []
    for i, (target, name) in enumerate(zip(options.target, "AB", strict=False)):
        account = Account(target, verify=not options.insecure)
        account.connect()
        user = account.user
        to = (
            options.to[i] if i < len(options.to) else user if "@" in user else f"{user}@example.org"
        )
        smtp = options.smtp[i] if i < len(options.smtp) else None
        sites.append(Site(name, account, Corpus(options.seed), smtp, to))
    return sites


def chosen(patterns: str | None) -> list[Row]:
    if not patterns:
        return ROWS
    return [
        r
        for r in ROWS
        if any(fnmatch.fnmatch(r.name.lower(), p.strip().lower()) for p in patterns.split(","))
    ]


def main() -> str | None:
    if "--list" in sys.argv[1:]:
        print("\n".join(row.name for row in ROWS))
        return None
    options = parse()
    rows = chosen(options.rows)
    if not rows:
        return f"no row matches {options.rows}; --list names them"
    sites = open_sites(options)
    for site in sites:
        if options.fill and options.fill_by == "smtp":
            if site.smtp is None:
                return "--fill-by smtp needs --smtp"
            fill.by_smtp(site.account, site.corpus, options.fill, site.smtp, site.recipient)
        elif options.fill:
            fill.by_import(site.account, site.corpus, options.fill)
        site.prepare()
    if options.no_rows:
        return None
    counts = [fill.total(site.account) for site in sites]
    print_heading(sites)
    print("messages".ljust(26) + "   ".join(f"{n:>40,}" for n in counts))
    table = []
    for row in rows:
        table.append(measure(row, sites, options.rounds))
        print_row(table[-1])
    if options.json:
        text = json.dumps(as_json(sites, table, counts), indent=2)
        if options.json == "-":
            print(text)
        else:
            pathlib.Path(options.json).write_text(text + "\n", encoding="utf-8")
    failed = [
        f"{result.row.name} on {site.name}: {result.error}"
        for results in table
        for site, result in zip(sites, results, strict=True)
        if result.error
    ]
    return "\n".join(["failed:", *failed]) if failed else None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, OSError, smtplib.SMTPException) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("\nbench: interrupted")

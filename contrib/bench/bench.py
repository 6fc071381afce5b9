#!/usr/bin/env python3
"""Measure JMAP servers, side by side, with the work that mail clients do.

Each TARGET is a session URL with the credentials in it:

    bench.py --fill 1000 http://alice:secret@127.0.0.1:8080/.well-known/jmap
    bench.py --smtp 127.0.0.1:2525 --smtp 127.0.0.1:2526 TARGET TARGET
"""

import argparse
import functools
import json
import pathlib
import platform
import string
import sys
from urllib.parse import urlsplit

import fill
import usage
from corpus import Corpus
from jmap import Account, Failed
from rows import ROWS, Site
from smtp import Refused
from table import Result, chosen, measure, print_heading, print_row


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
                "results": [result.as_json() for result in results],
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
    add(
        "--smtp",
        action="append",
        default=[],
        metavar="[lmtp://]HOST:PORT",
        help="one per target, in order",
    )
    add(
        "--to",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="recipient at each target; by default the user's name, at example.org",
    )
    add(
        "--other",
        action="append",
        default=[],
        metavar="URL",
        help="session URL of another user at a target, for the row of 8 users",
    )
    add(
        "--pid",
        action="append",
        default=[],
        type=int,
        help="the server's, one per target in order, for its processor time",
    )
    add("--fill", type=int, default=0, metavar="N", help="first bring the account to N messages")
    add("--fill-by", choices=("import", "smtp"), default="import")
    add("--seed", type=int, default=1, help="of the corpus (default 1)")
    add("--rounds", type=int, default=20, metavar="N", help="measurements per row (default 20)")
    add(
        "--rows", metavar="PATTERN[|…]", help="only rows whose name matches, as in 'search*|flag 1'"
    )
    add("--no-rows", action="store_true", help="fill only")
    add("--list", action="store_true", help="name the rows, and leave")
    add("--json", metavar="FILE", help="write everything that was measured, - for standard output")
    add("--insecure", action="store_true", help="accept any certificate")
    options = parser.parse_args()
    if len(options.smtp) > len(options.target) or len(options.to) > len(options.target):
        parser.error("--smtp and --to: no more than there are targets")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def open_sites(options: argparse.Namespace) -> list[Site]:
    sites = []
    for i, (target, name) in enumerate(zip(options.target, string.ascii_uppercase, strict=False)):
        account = Account(target, verify=not options.insecure)
        account.connect()
        user = account.user
        to = (
            options.to[i] if i < len(options.to) else user if "@" in user else f"{user}@example.org"
        )
        smtp = options.smtp[i] if i < len(options.smtp) else None
        if i < len(options.pid):
            account.processor = functools.partial(usage.cpu, options.pid[i])
        others = [url for url in options.other if place(url) == place(target)]
        sites.append(Site(name, account, Corpus(options.seed), smtp, to, others))
    return sites


def place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


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
    print_heading(sites, counts)
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
    except (Failed, OSError, Refused) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("\nbench: interrupted")

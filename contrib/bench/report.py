#!/usr/bin/env python3
"""Write what `compare.py` measured into docs/performance.md.

    report.py results.json docs/performance.md

Everything between the two marks in the document is replaced.
"""

import json
import pathlib
import statistics
import sys
from typing import Any

BEGIN, END = "<!-- measured -->", "<!-- end -->"
Results = dict[str, Any]

NOTE = """\
\\* no index answers it whole: it may grow with the account. *First* is the first time at the
largest size, before anything is kept of the answer. *Growth* is from the smallest to the
largest, of the medians and of processor time; *times the limit* is of processor time."""


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def good(result: Results | None) -> bool:
    return bool(result and not result["error"] and result["values"])


def cell(result: Results | None) -> str:
    """Min, median and max."""
    if result is None:
        return ""
    if not good(result):
        return "–"
    values = result["values"]
    return " / ".join(number(f(values)) for f in (min, statistics.median, max))


def best(result: Results, unit: str) -> float:
    return min(result["values"]) if unit == "ms" else max(result["values"])


def ratio(ours: Results | None, theirs: Results | None, unit: str, key: str) -> float | None:
    """How many times as fast ours is, by the median, the best or the processor time."""
    if not (good(ours) and good(theirs)):
        return None
    assert ours is not None and theirs is not None
    if key == "cpu":
        return theirs["cpu"] / ours["cpu"] if ours["cpu"] and theirs["cpu"] else None
    if key == "best":
        a, b = best(ours, unit), best(theirs, unit)
    else:
        a, b = statistics.median(ours["values"]), statistics.median(theirs["values"])
    return b / a if unit == "ms" else a / b


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def title(row: Results) -> str:
    return row["row"] + ("" if row["unit"] == "ms" else f", {row['unit']}")


def against(results: Results, size: int, peer: str) -> list[str]:
    """The table of one size: mailhive beside a peer."""
    lines = [
        f"| row | mailhive | {peer} | median | best | processor | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        ours, theirs = row["results"].get(f"mailhive {size}"), row["results"].get(f"{peer} {size}")
        theirs = theirs or row["results"].get(peer)
        if ours is None or (not good(ours) and not good(theirs)):
            continue
        ratios = [ratio(ours, theirs, row["unit"], key) for key in ("median", "best", "cpu")]
        goal = f"{row['goal']:g}"
        short = " **short**" if ratios[0] is not None and ratios[0] < row["goal"] else ""
        cells = [cell(ours), cell(theirs), *map(shown, ratios), goal + short]
        lines.append(f"| {title(row)} | " + " | ".join(cells) + " |")
    return lines


def growth(results: Results) -> list[str]:
    """The table of sizes, and the limit."""
    sizes = results["sizes"]
    heads = [f"{size:,}" for size in sizes]
    lines = [
        "| row | limit | "
        + " | ".join(heads)
        + " | first | growth | processor | times the limit |",
        "|---" * (len(sizes) + 6) + "|",
    ]
    for row in results["rows"]:
        of_sizes = [row["results"].get(f"mailhive {size}") for size in sizes]
        first, last = of_sizes[0], of_sizes[-1]
        if not any(map(good, of_sizes)):
            continue
        if not good(first):
            first = next((r for r in of_sizes if good(r)), None)
        grown = ratio(last, first, row["unit"], "median") if last is not first else None
        by_cpu = ratio(last, first, row["unit"], "cpu") if last is not first else None
        marks = ["" if g is None else shown(1 / g) for g in (grown, by_cpu)]
        if row["indexed"] and by_cpu is not None and 1 / by_cpu > 1.5:
            marks[1] += " **over 1.5**"
        limit = row["limit"]
        times = shown(1 / r) if (r := ratio(of_sizes[0], limit, "ms", "cpu")) else ""
        once = number(last["first"]) if good(last) else ""
        cells = [cell(limit) if limit else "", *map(cell, of_sizes), once, *marks, times]
        name = title(row) + ("" if row["indexed"] else " *")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", NOTE]


def of_workers(results: Results) -> list[str]:
    if not results["workers"]:
        return []
    size = min(results["sizes"])
    lines = ["", "### Workers", "", f"At {size:,} messages; the ratio is of the medians.", ""]
    heads = " | ".join(f"{count} workers | ratio" for count in results["workers"])
    lines += [f"| row | one process | {heads} |", "|---" * (2 + 2 * len(results["workers"])) + "|"]
    for row in results["rows"]:
        ours = row["results"].get(f"mailhive {size}")
        if not good(ours):
            continue
        cells = [cell(ours)]
        for count in results["workers"]:
            other = row["results"].get(f"mailhive with {count} workers {size}")
            by = ratio(other, ours, row["unit"], "median")
            cells += [cell(other), shown(by)]
        lines.append(f"| {title(row)} | " + " | ".join(cells) + " |")
    return lines


def servers(results: Results) -> list[str]:
    lines = [
        "| server | accounts of | start s | idle MB | MB after the rows | KB of disk per message |",
        "|---|---|---|---|---|---|",
    ]
    for about in results["servers"]:
        sizes = ", ".join(f"{size:,}" for size in about["sizes"])
        start = " / ".join(number(f(about["start"])) for f in (min, statistics.median, max))
        memory = f"{about['memory'] / 1e6:.0f} | {about['memory_after'] / 1e6:.0f}"
        lines.append(
            f"| {about['server']} | {sizes} | {start} | {memory} | {about['disk'] / 1e3:.1f} |"
        )
    return lines


def rendered(results: Results) -> str:
    lines = [
        f"Measured on {results['date']} by `{results['command']}`,",
        f"Python {results['python']}, {results['processors']} processors.",
        "Milliseconds, min / median / max, if not said otherwise.",
    ]
    peers = {
        "Cyrus": results["cyrus_sizes"],
        **dict.fromkeys(results["peers"], results["sizes"][:1]),
    }
    for peer, sizes in peers.items():
        for size in sizes:
            if size in results["sizes"]:
                lines += [
                    "",
                    f"### Beside {peer}, {size:,} messages",
                    "",
                    *against(results, size, peer),
                ]
    lines += ["", "### Growth, and the limit", "", *growth(results)]
    lines += of_workers(results)
    lines += ["", "### The servers as such", "", *servers(results)]
    return "\n".join(lines)


def write_report(results: Results, document: pathlib.Path) -> None:
    text = document.read_text(encoding="utf-8") if document.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n{rendered(results)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_report(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]))

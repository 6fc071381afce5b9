"""Measuring rows on several servers in turn, and showing what came out."""

import fnmatch
import statistics
from dataclasses import dataclass, field

from rows import ROWS, Measurements, Row, Site


@dataclass
class Result:
    """The measurements of one row on one server."""

    row: Row
    values: list[float] = field(default_factory=list)  # ms or per second, the first one apart
    first: float | None = None
    cpu: list[float] = field(default_factory=list)  # ms of the server's
    error: str | None = None
    #: The last request and its response.
    exchange: tuple[bytes, bytes] | None = None

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
        """First, min, median and max."""
        if self.error or self.first is None or not self.values:
            return [self.error or "nothing measured", "", "", ""]
        median = statistics.median(self.values)
        return [number(n) for n in (self.first, min(self.values), median, max(self.values))]

    def as_json(self) -> dict[str, object]:
        return {
            "first": self.first,
            "values": self.values,
            "median": self.median,
            "cpu": statistics.median(self.cpu) if any(self.cpu) else None,
            "error": self.error,
        }


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def measure(row: Row, sites: list[Site], rounds: int) -> list[Result]:
    """Run a row on every server in turn, a measurement at a time."""
    results = [Result(row) for _ in sites]
    running: dict[int, Measurements] = {i: row.run(site) for i, site in enumerate(sites)}
    for turn in range(min(rounds, row.rounds or rounds) + 1):
        for i in sorted(running, reverse=bool(turn % 2)):
            try:
                results[i].add(next(running[i]))
                if row.limit:
                    results[i].exchange = sites[i].account.last
                    results[i].cpu.append(sites[i].account.cpu * 1000)
            except Exception as error:  # of one row on one server; the others go on
                results[i].error = f"{type(error).__name__}: {error}"
                del running[i]
    for i, generator in running.items():
        try:
            generator.close()
        except Exception as error:
            results[i].error = f"cleaning up: {type(error).__name__}: {error}"
    return results


def times_as_fast(first: Result, second: Result) -> float | None:
    """How many times as fast the first is as the second."""
    if first.median is None or second.median is None:
        return None
    by = second.median / first.median
    return by if first.row.unit == "ms" else 1 / by


def chosen(patterns: str | None) -> list[Row]:
    """The rows whose names match one of the patterns, or all."""
    if not patterns:
        return ROWS
    wanted = [pattern.strip().lower() for pattern in patterns.split("|")]
    return [r for r in ROWS if any(fnmatch.fnmatch(r.name.lower(), p) for p in wanted)]


HEADINGS = ["first", "min", "median", "max"]


def print_heading(sites: list[Site], counts: list[int]) -> None:
    for site in sites:
        print(f"{site.name}: {site.account.url} as {site.account.user}")
    names = "   ".join(
        f"{site.name:>20.20} {count:>9,} messages "
        for site, count in zip(sites, counts, strict=True)
    )
    print(f"\n{'':28}{names}")
    columns = "   ".join("".join(f"{h:>10}" for h in HEADINGS) for _ in sites)
    print(f"{'':28}{columns}{'    ratio' * (len(sites) - 1)}", flush=True)


def print_row(results: list[Result]) -> None:
    row = results[0].row
    blocks = []
    for result in results:
        cells = result.cells()
        blocks.append(
            f"  {cells[0]:38.38}" if not cells[1] else "".join(f"{cell:>10}" for cell in cells)
        )
    ratios = [times_as_fast(results[0], other) for other in results[1:]]
    tail = "".join(f"{'-' if r is None else f'{r:.2f}x':>9}" for r in ratios)
    label = row.name if row.unit == "ms" else f"{row.name} {row.unit}"
    print(f"{label:28}{'   '.join(blocks)}{tail}", flush=True)

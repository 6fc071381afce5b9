"""Sizes and durations as the configuration writes them.

Units of size are decimal, as disks and networks count: `10M` is 10,000,000
octets.  A plain integer is octets or seconds.
"""

import re
from typing import NewType

__all__ = [
    "DURATION_UNITS",
    "SIZE_UNITS",
    "Duration",
    "Size",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_size",
]

#: Octets.
Size = NewType("Size", int)
#: Seconds.
Duration = NewType("Duration", float)

SIZE_UNITS = {"B": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
DURATION_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

_QUANTITY = re.compile(r"(\d{1,12})([A-Za-z]+)", re.ASCII)


def parse_size(value: object) -> Size:
    """Octets of `"10M"` or of a whole number; ValueError says what is allowed."""
    return Size(_parse(value, SIZE_UNITS, "a size", '"10M"', "octets"))


def parse_duration(value: object) -> Duration:
    """Seconds of `"5m"` or of a whole number; ValueError says what is allowed."""
    return Duration(_parse(value, DURATION_UNITS, "a duration", '"30s"', "seconds"))


def format_size(size: int) -> str:
    """The shortest exact form: `format_size(10_000_000) == "10M"`."""
    return _format(size, SIZE_UNITS, "B")


def format_duration(seconds: float) -> str:
    """The shortest exact form: `format_duration(300) == "5m"`."""
    return _format(seconds, DURATION_UNITS, "s")


def _parse(value: object, units: dict[str, int], kind: str, example: str, plain: str) -> int:
    allowed = f"{kind} is a whole number and one of {' '.join(units)}, as in {example}"
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{value} is negative; {allowed}, or {plain}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"is not {kind}; {allowed}, or {plain}")
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise ValueError(f'"{value}" is not {kind}; {allowed}')
    unit = units.get(match[2])
    if unit is None:
        raise ValueError(f'"{match[2]}" is not a unit; {allowed}')
    return int(match[1]) * unit


def _format(number: float, units: dict[str, int], smallest: str) -> str:
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if number and number % factor == 0:
            return f"{int(number // factor)}{unit}"
    return f"{number:g}{smallest}"

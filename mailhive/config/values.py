"""Single values of the file to Python values, without any conversion that guesses.

Each function takes what tomllib made of the file and raises ValueError with
"what is wrong; what is allowed".
"""

import os
import re
from collections.abc import Iterable
from typing import Any, get_args

from mailhive.config.fields import HttpHeader, WorkerCount

__all__ = ["exactly", "header", "one_of", "quoted", "table", "workers"]

_MOST_WORKERS = 64

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 §5.6.2
_CONTENT = re.compile(r"[!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?")  # RFC 9110 §5.5
#: What only a connection or a single answer can say.
_OWN = {
    "allow",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "keep-alive",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
}

_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "a list",
    dict: "a table",
}


def exactly(value: Any, cls: type) -> Any:
    """`value`, which must be of that very type; an integer may stand for a float."""
    if cls is float and type(value) is int:
        return float(value)
    if type(value) is not cls:
        kind = _KINDS.get(type(value), "a date or time")
        raise ValueError(f"is {kind}; allowed is {_KINDS[cls]}")
    return value


def table(value: Any) -> dict[str, Any]:
    """`value`, which must be a table."""
    made: dict[str, Any] = exactly(value, dict)
    return made


def one_of(value: Any, literal: Any) -> Any:
    """`value`, which must be one of a `Literal`."""
    allowed = get_args(literal)
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise ValueError(f"{quoted([value])} is not supported; allowed: {quoted(allowed)}")
    return value


def header(value: Any) -> HttpHeader:
    """A `Name: Value` line."""
    name, colon, content = exactly(value, str).partition(":")
    content = content.strip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or not _CONTENT.fullmatch(content):
        raise ValueError(
            f'{value!r} is not a header field; allowed is "Name: Value" in ISO 8859-1 without '
            "control characters"
        )
    if name.lower() in _OWN:
        raise ValueError(
            f'"{name}" belongs to the connection or to the single answer; any other header field '
            "is allowed"
        )
    return HttpHeader(name, content)


def workers(value: Any) -> WorkerCount:
    """A number of processes; `"auto"` is as many as there are processors for this one."""
    if value == "auto":
        return WorkerCount(min(len(os.sched_getaffinity(0)), _MOST_WORKERS))
    if type(value) is not int or not 1 <= value <= _MOST_WORKERS:
        raise ValueError(f'{quoted([value])} is not allowed; allowed is 1 to 64, or "auto"')
    return WorkerCount(value)


def quoted(values: Iterable[object]) -> str:
    """For messages: strings in quotes, anything else as it is."""
    return ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in values)

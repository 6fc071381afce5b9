"""What others say in Authentication-Results fields that they found (RFC 8601 §2.2)."""

import re
from collections.abc import Iterator

from mailhive.authn.results import Result

__all__ = ["read_results"]

_MOST = 16_384  # characters that are looked at
_QUOTED = r'(?:"((?:[^"\\]++|\\.)*)")'
_PAIR = re.compile(
    rf"(?<![^\s])([A-Za-z][A-Za-z0-9_-]*+(?:\s*+[./]\s*+[A-Za-z0-9_-]++)?)\s*+=\s*+"
    rf"(?:{_QUOTED}(?=\s|\Z)|({_QUOTED}?[^\s\"]*+))",
    re.ASCII | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPACE = re.compile(r"\s+")


def read_results(body: bytes) -> list[Result]:
    """The results in the body of a field, without what is not to be understood.

    Names of methods, results and properties are in lower case; comments are left out.
    """
    parts = list(_parts(body.decode("utf-8", "replace")[:_MOST]))
    return [result for part in parts[1:] if (result := _result(part)) is not None]


def _result(part: str) -> Result | None:
    found = [
        (
            _SPACE.sub("", match[1]).lower(),
            match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2]),
        )
        for match in _PAIR.finditer(part)
    ]
    if not found or "." in found[0][0] or not found[0][1]:
        return None
    (method, result), *rest = found
    properties = {name: value for name, value in reversed(rest) if "." in name}
    reason = next((value for name, value in rest if name == "reason"), "")
    return Result(method.partition("/")[0], result.lower(), properties, reason)


def _parts(text: str) -> Iterator[str]:
    """What stands between semicolons, a space in place of each comment (RFC 5322 §3.2.2)."""
    kept: list[str] = []
    depth = 0
    quoted = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and (quoted or depth):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif quoted:
            pass
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            character = " "
        elif character == ";" and not depth:
            yield "".join(kept).strip()
            kept = []
            continue
        if not depth:
            kept.append(character)
    yield "".join(kept).strip()

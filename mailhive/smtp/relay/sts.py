"""MTA-STS without I/O: a domain's record and policy about TLS (RFC 8461 §3)."""

import re
from collections.abc import Iterable

from attrs import frozen

__all__ = ["Policy", "parse_policy", "record_id"]

_RECORD = re.compile(r"v=STSv1[ \t]*;(.*)", re.ASCII | re.DOTALL)
_FIELD = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*=[ \t]*([!-:<>-~]*)[ \t]*")
_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*")
_PATTERN = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)
_MODES = ("enforce", "testing", "none")
#: Seconds; RFC 8461 §3.2 says about a year.
_LONGEST_LIFE = 31_557_600


@frozen
class Policy:
    """`mode` is enforce, testing or none, `max_age` in seconds."""

    mode: str
    patterns: tuple[str, ...]
    max_age: int

    def allows(self, host: str) -> bool:
        """Is this one of the domain's servers (RFC 8461 §4.1)?"""
        name = host.rstrip(".").lower()
        above = name.partition(".")[2]
        return any(
            above == pattern[2:] if pattern.startswith("*.") else name == pattern
            for pattern in self.patterns
        )


def record_id(texts: Iterable[str]) -> str | None:
    """The id that the TXT records at `_mta-sts` give; None if the domain has no policy.

    RFC 8461 §3.1: with more than one record of this version there is none.
    """
    records = [match[1] for text in texts if (match := _RECORD.fullmatch(text))]
    if len(records) != 1:
        return None
    for part in records[0].split(";"):
        match = _FIELD.fullmatch(part)
        if match and match[1] == "id" and _ID.fullmatch(match[2]):
            return match[2]
    return None


def parse_policy(text: str) -> Policy:
    """A policy as it is fetched; ValueError if it is none (RFC 8461 §3.2)."""
    fields: dict[str, str] = {}
    patterns = []
    for line in re.split(r"\r?\n", text.strip()):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a field: {line[:60]!r}")
        name, value = match.groups()
        if name == "mx":
            if not _PATTERN.fullmatch(value):
                raise ValueError(f"not the name of a server: {value[:60]!r}")
            patterns.append(value.lower())
        else:
            fields.setdefault(name, value)  # of several the first counts
    mode, max_age = fields.get("mode"), fields.get("max_age", "")
    if fields.get("version") != "STSv1":
        raise ValueError("the version is not STSv1")
    if mode not in _MODES:
        raise ValueError("the mode is unknown")
    if not (max_age.isascii() and max_age.isdecimal() and len(max_age) <= 10):
        raise ValueError("max_age is no number")
    if not patterns and mode != "none":
        raise ValueError("there is no mx")
    return Policy(mode, tuple(patterns), min(int(max_age), _LONGEST_LIFE))

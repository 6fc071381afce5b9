"""Macros of SPF (RFC 7208 §7)."""

import re
from urllib.parse import quote

from mailhive.authn.dns import IpAddress

__all__ = ["dotted", "expand", "needs_validated_name"]

_MACRO = re.compile(r"%(?:\{([A-Za-z])([0-9]*)([rR]?)([-.+,/_=]*)\}|([%_-]))", re.ASCII)
_VALIDATED = re.compile(r"%\{[pP]", re.ASCII)
_LITERAL = {"%": "%", "_": " ", "-": "%20"}
_LONGEST = 253  # octets of a domain name


def needs_validated_name(text: str) -> bool:
    """Is the value of `%{p}` needed, which has to be looked up?"""
    return _VALIDATED.search(text) is not None


def expand(text: str, values: dict[str, str], *, is_domain: bool = True) -> str:
    """`text` with its macros replaced by `values`, which are by letter.

    A domain that becomes too long loses labels at its left (RFC 7208 §7.3).
    """
    found = _MACRO.sub(lambda match: _value(match, values), text)
    if is_domain and len(found) > _LONGEST:
        cut = found.find(".", len(found) - _LONGEST - 1)
        return found[cut + 1 :]
    return found


def _value(match: re.Match[str], values: dict[str, str]) -> str:
    letter, digits, reverse, delimiters, literal = match.groups()
    if literal is not None:
        return _LITERAL[literal]
    parts = re.split(f"[{re.escape(delimiters or '.')}]", values[letter.lower()])
    if reverse:
        parts.reverse()
    if digits:
        parts = parts[-min(int(digits), len(parts)) :]
    value = ".".join(parts)
    return quote(value, safe="-._~") if letter.isupper() else value


def dotted(address: IpAddress) -> str:
    """An address as `%{i}` has it: of IPv6 each digit is a label."""
    if address.version == 4:
        return str(address)
    return ".".join(address.exploded.replace(":", ""))

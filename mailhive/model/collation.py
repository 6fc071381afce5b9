"""Collations (RFC 4790) as sort keys: strings compare as their keys do."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["COLLATIONS", "ascii_casemap", "ascii_numeric", "unicode_casemap"]

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def ascii_casemap(text: str) -> str:
    """`i;ascii-casemap` (RFC 4790 §9.2)."""
    return text.translate(_UPPER)


def unicode_casemap(text: str) -> str:
    """`i;unicode-casemap` (RFC 5051 §2): titlecase, then compatibility decomposition."""
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFKD", "".join(map(_titlecase, text)))


def _titlecase(char: str) -> str:
    # RFC 5051 uses the simple mapping: one that yields several characters is none.
    title = char.title()
    return title if len(title) == 1 else char


def ascii_numeric(text: str) -> tuple[int, int]:
    """`i;ascii-numeric` (RFC 4790 §9.1): the leading number; text without one comes last."""
    match = _DIGITS.match(text)
    return (0, int(match[0][:4000])) if match else (1, 0)


#: Collation identifier to the function that makes a string's sort key.
COLLATIONS: Mapping[str, Callable[[str], Any]] = {
    "i;ascii-casemap": ascii_casemap,
    "i;unicode-casemap": unicode_casemap,
    "i;ascii-numeric": ascii_numeric,
}

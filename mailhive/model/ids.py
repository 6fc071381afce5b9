"""Identifiers (RFC 8620 §1.2).

Objects of a store are numbered; on the wire a number is a prefix letter
followed by its base-32 digits (`0-9a-v`, no upper case, so that two ids never
differ by case alone, and never all digits).
"""

import re
import secrets
from collections.abc import Sequence

__all__ = ["are_all_ids", "decode_id", "encode_id", "is_id", "random_id"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_IDS = re.compile(r"[A-Za-z0-9_-]{1,255}(?:\n[A-Za-z0-9_-]{1,255})*", re.ASCII)
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_NUMBER = re.compile(r"[1-9a-v][0-9a-v]{0,12}", re.ASCII)
_MAX = 2**63 - 1


def is_id(value: object) -> bool:
    """Is `value` of the `Id` type of RFC 8620 §1.2?"""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def are_all_ids(values: Sequence[str]) -> bool:
    """Is each of them an `Id`?  Looked at together: lists have hundreds.

    TypeError for what is no string.
    """
    text = "\n".join(values)
    return not values or (text.count("\n") < len(values) and _IDS.fullmatch(text) is not None)


def encode_id(prefix: str, number: int) -> str:
    """The wire form of a positive number: `encode_id("M", 33) == "M11"`."""
    digits = ""
    while number > 1023:  # two at a time: a list of Emails has hundreds of ids
        digits = _PAIRS[number & 1023] + digits
        number >>= 10
    return prefix + (_PAIRS[number] if number > 31 else _DIGITS[number]) + digits


def decode_id(prefix: str, wire: str) -> int | None:
    """The number behind `wire`, or None if no number has that wire form."""
    if not wire.startswith(prefix):
        return None
    digits = wire[len(prefix) :]
    if not _NUMBER.fullmatch(digits):
        return None
    number = int(digits, 32)
    return number if number <= _MAX else None


def random_id(prefix: str) -> str:
    """An id that nobody else has: 80 random bits behind `prefix`."""
    bits = secrets.randbits(80)
    return prefix + "".join(_DIGITS[bits >> shift & 31] for shift in range(0, 80, 5))

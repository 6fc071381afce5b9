"""Tests for the value types of RFC 8620 §1.1-1.4, as used in type signatures.

Each takes a decoded JSON value and says whether it is of the type.  They are
data in property and argument tables, so each is a plain function.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from mailhive.model.ids import are_all_ids, is_id
from mailhive.model.utcdate import parse_date, parse_utc_date

__all__ = [
    "MAX_INT",
    "Check",
    "are_ids",
    "are_references",
    "is_any",
    "is_boolean",
    "is_date",
    "is_email_address",
    "is_id",
    "is_int",
    "is_map_by_reference",
    "is_reference",
    "is_string",
    "is_true",
    "is_unsigned",
    "is_utc_date",
    "list_of",
    "map_of",
    "nullable",
    "one_of",
]

Check = Callable[[Any], bool]

#: Int and UnsignedInt end here (RFC 8620 §1.3).
MAX_INT = 2**53 - 1


def is_any(value: Any) -> bool:
    return True


def is_string(value: Any) -> bool:
    return isinstance(value, str)


def is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def is_true(value: Any) -> bool:
    """The value of a set-like map such as `mailboxIds`."""
    return value is True


def is_int(value: Any) -> bool:
    return type(value) is int and -MAX_INT <= value <= MAX_INT


def is_unsigned(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def is_utc_date(value: Any) -> bool:
    return _parses(parse_utc_date, value)


def is_date(value: Any) -> bool:
    return _parses(parse_date, value)


def is_reference(value: Any) -> bool:
    """An Id, or a creation reference to one (RFC 8620 §5.3)."""
    return is_id(value) or (isinstance(value, str) and value[:1] == "#" and is_id(value[1:]))


def is_email_address(value: Any) -> bool:
    """An EmailAddress (RFC 8621 §4.1.2.3), whose name may be left out."""
    return (
        isinstance(value, dict)
        and value.keys() <= {"name", "email"}
        and is_string(value.get("email"))
        and nullable(is_string)(value.get("name"))
    )


def are_ids(value: Any) -> bool:
    """Is it a list of Ids?"""
    try:
        return isinstance(value, list) and are_all_ids(value)
    except TypeError:  # not all strings
        return False


_REFERENCES = re.compile(r"#?[A-Za-z0-9_-]{1,255}(?:\n#?[A-Za-z0-9_-]{1,255})*", re.ASCII)


def are_references(value: Any) -> bool:
    """Is it a list of Ids and creation references?"""
    return isinstance(value, list) and _all_references(value)


def is_map_by_reference(value: Any) -> bool:
    """Is it a map whose keys are Ids and creation references?"""
    return isinstance(value, dict) and _all_references(value)


def _all_references(values: Collection[Any]) -> bool:
    """All of them looked at together, as in `are_all_ids`."""
    try:
        text = "\n".join(values)
    except TypeError:  # not all strings
        return False
    return not values or (
        text.count("\n") < len(values) and _REFERENCES.fullmatch(text) is not None
    )


def nullable(check: Check) -> Check:
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def map_of(key: Check, check: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(map(key, value)) and all(map(check, value.values()))
    )


def one_of(values: Collection[str]) -> Check:
    return lambda value: isinstance(value, str) and value in values


def _parses(parse: Callable[[Any], int], value: Any) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True

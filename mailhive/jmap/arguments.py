"""Method arguments, checked against a table before a method acts on them."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mailhive.jmap.checks import Check
from mailhive.jmap.errors import MethodError, invalid_arguments

__all__ = ["REQUIRED", "Argument", "check_arguments", "parse_state"]

#: The default of an argument that has none.
REQUIRED: Any = object()


@frozen
class Argument:
    """The type of an argument and the value it has when it is left out (RFC 8620 §3.5)."""

    check: Check
    default: Any = None


def check_arguments(arguments: Mapping[str, Any], table: Mapping[str, Argument]) -> dict[str, Any]:
    """All arguments of the table with defaults filled in.

    `MethodError` invalidArguments for one of the wrong type or one that the
    method does not have; `accountId` is checked by `Context.account`.
    """
    for name in arguments:
        if name not in table and name != "accountId":
            raise invalid_arguments(f"There is no argument {name!r}")
    values = {}
    for name, argument in table.items():
        value = arguments.get(name, argument.default)
        if value is REQUIRED:
            raise invalid_arguments(f"{name} is missing")
        if value is not argument.default and not argument.check(value):
            raise invalid_arguments(f"{name} is of the wrong type")
        values[name] = value
    return values


def parse_state(state: Any) -> int:
    """The modseq behind a state string that we gave out; cannotCalculateChanges for another."""
    if isinstance(state, str) and state.isascii() and state.isdigit() and len(state) < 19:
        return int(state)
    raise MethodError("cannotCalculateChanges", "The state was not given out by this server")

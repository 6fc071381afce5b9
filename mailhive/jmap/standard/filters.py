"""FilterOperator and FilterCondition (RFC 8620 §5.5)."""

from collections.abc import Callable, Mapping
from typing import Any

from mailhive.jmap.checks import Check
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.model.email import FilterCondition, FilterOperator

__all__ = ["MAX_DEPTH", "FilterTable", "matches", "parse_filter"]

#: The conditions of a type: its name to the type of the value, and what makes
#: of it the value that is compared with.
FilterTable = Mapping[str, tuple[Check, Callable[[Any], Any]]]

#: Operators nested deeper are refused with unsupportedFilter.
MAX_DEPTH = 32
#: So are filters of more conditions.
MAX_CONDITIONS = 500


def parse_filter(value: Any, table: FilterTable) -> FilterOperator | FilterCondition | None:
    """The filter as a tree; None when it lets everything through.

    invalidArguments when it is not well-formed, unsupportedFilter when it names
    a condition that the type does not have or is too large.
    """
    if value is None:
        return None
    budget = [MAX_CONDITIONS]
    return _parse(value, table, 0, budget)


def _parse(
    value: Any, table: FilterTable, depth: int, budget: list[int]
) -> FilterOperator | FilterCondition:
    budget[0] -= 1
    if depth > MAX_DEPTH or budget[0] < 0:
        raise MethodError("unsupportedFilter", "The filter is too large")
    if not isinstance(value, dict):
        raise invalid_arguments("A filter must be an object")
    if "operator" not in value:
        return FilterCondition(tuple(_condition(n, v, table) for n, v in sorted(value.items())))
    operator, conditions = value["operator"], value.get("conditions")
    if operator not in ("AND", "OR", "NOT"):
        raise invalid_arguments("A filter's operator must be AND, OR or NOT")
    if not isinstance(conditions, list) or len(value) != 2:
        raise invalid_arguments("A FilterOperator must have an operator and a list of conditions")
    return FilterOperator(operator, tuple(_parse(c, table, depth + 1, budget) for c in conditions))


def _condition(name: str, value: Any, table: FilterTable) -> tuple[str, Any]:
    if name not in table:
        raise MethodError("unsupportedFilter", f"There is no filter condition {name!r}")
    check, convert = table[name]
    if not check(value):
        raise invalid_arguments(f"The filter condition {name!r} is of the wrong type")
    return name, convert(value)


def matches(
    tree: FilterOperator | FilterCondition | None, test: Callable[[str, Any], bool]
) -> bool:
    """Evaluate a filter for one object; `test(name, value)` answers a single condition."""
    if tree is None:
        return True
    if isinstance(tree, FilterCondition):
        return all(test(name, value) for name, value in tree.properties)
    results = (matches(condition, test) for condition in tree.conditions)
    if tree.operator == "AND":
        return all(results)
    if tree.operator == "OR":
        return any(results)
    return not any(results)  # NOT: none of the conditions match

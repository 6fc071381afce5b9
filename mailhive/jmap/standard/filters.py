"""FilterOperator and FilterCondition (RFC 8620 §5.5)."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

from mailhive.jmap.checks import Check
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.model.email import FilterCondition, FilterOperator

__all__ = ["MAX_DEPTH", "FilterTable", "matches", "parse_filter"]

#: The conditions of a type: its name to the type of the value, and what makes
#: of it the value that is compared with.
FilterTable = Mapping[str, tuple[Check, Callable[[Any], Any]]]

#: Operators nested deeper are refused with unsupportedFilter.
MAX_DEPTH = 32
#: So are filters of more conditions, and of more characters in all their values.
MAX_CONDITIONS = 500
MAX_CHARACTERS = 100_000


def parse_filter(value: Any, table: FilterTable) -> FilterOperator | FilterCondition | None:
    """The filter as a tree; None when it lets everything through.

    invalidArguments when it is not well-formed, unsupportedFilter when it names
    a condition that the type does not have or is too large.
    """
    if value is None:
        return None
    return _parse(value, table, 0, _Budget())


@define
class _Budget:
    """What is left of the size that a filter may have."""

    conditions: int = MAX_CONDITIONS
    characters: int = MAX_CHARACTERS

    def spend(self, conditions: int, characters: int) -> None:
        self.conditions -= conditions
        self.characters -= characters
        if self.conditions < 0 or self.characters < 0:
            raise _too_large()


def _too_large() -> MethodError:
    return MethodError("unsupportedFilter", "The filter is too large")


def _parse(
    value: Any, table: FilterTable, depth: int, budget: _Budget
) -> FilterOperator | FilterCondition:
    if depth > MAX_DEPTH:
        raise _too_large()
    if not isinstance(value, dict):
        raise invalid_arguments("A filter must be an object")
    budget.spend(1, 0)
    if "operator" not in value:
        budget.spend(0, sum(map(_characters, value.values())))
        return FilterCondition(tuple(_condition(n, v, table) for n, v in sorted(value.items())))
    operator, conditions = value["operator"], value.get("conditions")
    if operator not in ("AND", "OR", "NOT"):
        raise invalid_arguments("A filter's operator must be AND, OR or NOT")
    if not isinstance(conditions, list) or len(value) != 2:
        raise invalid_arguments("A FilterOperator must have an operator and a list of conditions")
    return FilterOperator(operator, tuple(_parse(c, table, depth + 1, budget) for c in conditions))


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_characters, value)) if isinstance(value, list) else 0


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

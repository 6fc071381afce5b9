"""Comparators (RFC 8620 §5.5) and the collations they can name."""

from collections.abc import Callable, Collection
from typing import Any

from mailhive.jmap.checks import is_boolean, is_string, nullable
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.model.collation import COLLATIONS
from mailhive.model.email import Comparator

__all__ = ["MAX_COMPARATORS", "parse_sort", "sorted_by"]

#: A sort of more is refused with unsupportedSort.
MAX_COMPARATORS = 32


def parse_sort(
    value: Any, known: Collection[str], keyword_sorts: Collection[str] = ()
) -> tuple[Comparator, ...]:
    """The comparators; invalidArguments or unsupportedSort.

    Members that a Comparator does not have are ignored: RFC 8620 §5.5 does not
    forbid them, and there are clients that send some.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid_arguments("sort must be an array of Comparators")
    if len(value) > MAX_COMPARATORS:
        raise MethodError("unsupportedSort", f"At most {MAX_COMPARATORS} Comparators are supported")
    return tuple(_parse(comparator, known, keyword_sorts) for comparator in value)


def _parse(value: Any, known: Collection[str], keyword_sorts: Collection[str]) -> Comparator:
    if not (
        isinstance(value, dict)
        and is_string(value.get("property"))
        and is_boolean(value.get("isAscending", True))
        and nullable(is_string)(value.get("collation"))
        and nullable(is_string)(value.get("keyword"))
    ):
        raise invalid_arguments("A Comparator is malformed")
    name, collation, keyword = value["property"], value.get("collation"), value.get("keyword")
    if name not in known:
        raise MethodError("unsupportedSort", f"Sorting by {name!r} is not supported")
    if collation is not None and collation not in COLLATIONS:
        raise MethodError("unsupportedSort", f"There is no collation {collation!r}")
    if (keyword is not None) != (name in keyword_sorts):
        raise invalid_arguments(f"A Comparator for {name!r} has or lacks a keyword wrongly")
    return Comparator(
        name,
        value.get("isAscending", True),
        collation,
        None if keyword is None else keyword.lower(),
    )


def sorted_by(
    objects: list[Any], sort: tuple[Comparator, ...], value: Callable[[Any, str], Any]
) -> list[Any]:
    """The objects in order; `value(object, property)` is what a comparator compares.

    Stable, so objects that compare equal stay as they were.
    """
    for comparator in reversed(sort):
        collate = COLLATIONS[comparator.collation or "i;unicode-casemap"]

        def key(item: Any, name: str = comparator.property, collate: Any = collate) -> Any:
            found = value(item, name)
            return collate(found) if isinstance(found, str) else found

        objects = sorted(objects, key=key, reverse=not comparator.ascending)
    return objects

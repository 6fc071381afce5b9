"""`Foo/query` (RFC 8620 §5.5): arguments, and the window on a list of results."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from mailhive.errors import NotFound
from mailhive.jmap.arguments import Argument, check_arguments
from mailhive.jmap.checks import is_any, is_boolean, is_id, is_int, is_unsigned, nullable
from mailhive.jmap.errors import MethodError
from mailhive.jmap.standard.filters import FilterTable, parse_filter
from mailhive.jmap.standard.sorts import parse_sort
from mailhive.model.email import Comparator, FilterCondition, FilterOperator
from mailhive.model.window import Window

__all__ = ["QUERY_ARGUMENTS", "Query", "parse_query", "query_response"]

QUERY_ARGUMENTS = {
    "filter": Argument(is_any),
    "sort": Argument(is_any),
    "position": Argument(is_int, 0),
    "anchor": Argument(nullable(is_id)),
    "anchorOffset": Argument(is_int, 0),
    "limit": Argument(nullable(is_unsigned)),
    "calculateTotal": Argument(is_boolean, False),
}


@frozen
class Query:
    """The arguments of a query, parsed; `arguments` has those of the type's own."""

    filter: FilterOperator | FilterCondition | None
    sort: tuple[Comparator, ...]
    window: Window
    calculate_total: bool
    arguments: Mapping[str, Any]


def parse_query(
    arguments: Mapping[str, Any],
    filters: FilterTable,
    sorts: Collection[str],
    *,
    extra: Mapping[str, Argument] | None = None,
    keyword_sorts: Collection[str] = (),
) -> Query:
    """The query asked for; invalidArguments, unsupportedFilter or unsupportedSort."""
    values = check_arguments(arguments, QUERY_ARGUMENTS | dict(extra or {}))
    return Query(
        parse_filter(values["filter"], filters),
        parse_sort(values["sort"], sorts, keyword_sorts),
        Window(values["position"], values["anchor"], values["anchorOffset"], values["limit"]),
        values["calculateTotal"],
        values,
    )


def query_response(
    account_id: str,
    state: int,
    query: Query,
    position: int,
    ids: Sequence[str],
    total: int | None,
    *,
    can_calculate_changes: bool,
) -> dict[str, Any]:
    """The response object; `total` only when it was asked for."""
    response: dict[str, Any] = {
        "accountId": account_id,
        "queryState": str(state),
        "canCalculateChanges": can_calculate_changes,
        "position": position,
        "ids": ids,
    }
    if query.calculate_total:
        response["total"] = total
    return response


def window_of(query: Query, ids: Sequence[str]) -> tuple[int, Sequence[str]]:
    """The part of a whole result list that was asked for; anchorNotFound if it has no anchor."""
    try:
        start, stop = query.window.bounds(
            len(ids), None if query.window.anchor is None else _index(ids, query.window.anchor)
        )
    except NotFound:
        raise MethodError("anchorNotFound") from None
    return start, ids[start:stop]


def _index(ids: Sequence[str], anchor: str) -> int:
    try:
        return ids.index(anchor)
    except ValueError:
        raise NotFound(anchor) from None

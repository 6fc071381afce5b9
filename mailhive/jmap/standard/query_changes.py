"""`Foo/queryChanges` (RFC 8620 §5.6)."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments, parse_state
from mailhive.jmap.checks import is_any, is_boolean, is_id, is_string, is_unsigned, nullable
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.registry import Method
from mailhive.jmap.standard.filters import FilterTable, parse_filter
from mailhive.jmap.standard.query import Query
from mailhive.jmap.standard.sorts import parse_sort
from mailhive.model.changes import Changes, QueryChanges
from mailhive.model.email import filter_names
from mailhive.model.window import Window

__all__ = [
    "parse_query_changes",
    "query_changes_method",
    "query_changes_response",
    "record_query_changes",
]

QUERY_CHANGES_ARGUMENTS = {
    "filter": Argument(is_any),
    "sort": Argument(is_any),
    "sinceQueryState": Argument(is_string, REQUIRED),
    "maxChanges": Argument(nullable(is_unsigned)),
    "upToId": Argument(nullable(is_id)),
    "calculateTotal": Argument(is_boolean, False),
}

#: `calculate(reader, query, since)` says what to do to the results that `query` had
#: at the state `since`; CannotCalculateChanges if that state is out of reach.
Calculate = Callable[[Any, Query, int], QueryChanges]


def query_changes_method(
    calculate: Calculate,
    filters: FilterTable,
    sorts: Collection[str],
    *,
    extra: Mapping[str, Argument] | None = None,
    keyword_sorts: Collection[str] = (),
) -> Method:
    """The queryChanges method of a type whose changes one read function can tell.

    The tables are those of its query method.
    """

    async def query_changes(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        account = context.account(arguments)
        asked, since = parse_query_changes(
            arguments, filters, sorts, extra=extra, keyword_sorts=keyword_sorts
        )
        changes = await context.store.read(account.id, calculate, asked, since)
        return query_changes_response(account.id, asked, changes)

    return query_changes


def parse_query_changes(
    arguments: Mapping[str, Any],
    filters: FilterTable,
    sorts: Collection[str],
    *,
    extra: Mapping[str, Argument] | None = None,
    keyword_sorts: Collection[str] = (),
) -> tuple[Query, int]:
    """The query, and the state since when its changes are asked for; errors as of `parse_query`.

    cannotCalculateChanges for a state that we did not give out.
    """
    values = check_arguments(arguments, QUERY_CHANGES_ARGUMENTS | dict(extra or {}))
    asked = Query(
        parse_filter(values["filter"], filters),
        parse_sort(values["sort"], sorts, keyword_sorts),
        Window(),
        values["calculateTotal"],
        values,
    )
    return asked, parse_state(values["sinceQueryState"])


def query_changes_response(account_id: str, query: Query, changes: QueryChanges) -> dict[str, Any]:
    """The response object, with `total` only when it was asked for; tooManyChanges."""
    limit = query.arguments["maxChanges"]
    if limit is not None and len(changes.removed) + len(changes.added) > limit:
        raise MethodError("tooManyChanges")
    response: dict[str, Any] = {
        "accountId": account_id,
        "oldQueryState": query.arguments["sinceQueryState"],
        "newQueryState": str(changes.state),
        "removed": changes.removed,
        "added": [{"id": i, "index": index} for i, index in changes.added],
    }
    if query.calculate_total:
        response["total"] = changes.total
    return response


def record_query_changes(
    changes: Changes,
    query: Query,
    ids: Sequence[str],
    *,
    immutable: Collection[str] = (),
    touched: Callable[[set[str]], Iterable[str]] | None = None,
) -> QueryChanges:
    """What to do to the results that a query on records had before `changes`.

    For types whose whole result list is computed from `reader.records`.  A type
    gives all that changed, and `ids`, the list as it is now:

        def calculate(reader, query, since):
            changes = reader.changes("Foo", since, None)
            return record_query_changes(changes, query, results(reader, query))

        "Foo/queryChanges": query_changes_method(calculate, FILTERS, SORTS)

    It is right when whether an object is in the results, and whether it comes before
    another, depends on these objects alone, and ties are broken by what never changes.
    `immutable` names the conditions and sorts on properties that never change: a query
    on nothing else is affected by no update.  Where the place of an object depends on
    others too, `touched(changed)` adds those objects that the ones changed can have moved.
    """
    names = {*filter_names(query.filter), *(c.property for c in query.sort)}
    is_immutable = touched is None and names <= set(immutable)
    created = set(changes.created)
    updated = set() if is_immutable else set(changes.updated) - set(changes.only_counts)
    changed = created | updated
    if touched is not None:
        changed.update(touched(changed))
    added = [(i, index) for index, i in enumerate(ids) if i in changed]
    up_to = query.arguments["upToId"]
    if is_immutable and up_to in ids:  # RFC 8620 §5.6
        last = ids.index(up_to)
        added = [(i, index) for i, index in added if index <= last]
    return QueryChanges(
        removed=(*sorted(changed - created), *changes.destroyed),
        added=tuple(added),
        total=len(ids),
        state=changes.new_state,
    )

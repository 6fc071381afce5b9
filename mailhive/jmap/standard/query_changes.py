"""`Foo/queryChanges` (RFC 8620 §5.6)."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from mailhive.errors import CannotCalculateChanges
from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments, parse_state
from mailhive.jmap.checks import is_any, is_boolean, is_id, is_string, is_unsigned, nullable
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.registry import Method
from mailhive.jmap.standard.filters import FilterTable, parse_filter
from mailhive.jmap.standard.query import Query
from mailhive.jmap.standard.sorts import parse_sort
from mailhive.model.changes import QueryChanges
from mailhive.model.email import filter_names
from mailhive.model.window import Window

__all__ = ["query_changes_method", "record_query_changes"]

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
#: `query.arguments["upToId"]` is there to be used.
Calculate = Callable[[Any, Query, int], QueryChanges]


def query_changes_method(
    calculate: Calculate,
    filters: FilterTable,
    sorts: Collection[str],
    *,
    extra: Mapping[str, Argument] | None = None,
    keyword_sorts: Collection[str] = (),
) -> Method:
    """The queryChanges method of a type, with the same tables as its query method."""
    table = QUERY_CHANGES_ARGUMENTS | dict(extra or {})

    async def query_changes(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        account = context.account(arguments)
        values = check_arguments(arguments, table)
        asked = Query(
            parse_filter(values["filter"], filters),
            parse_sort(values["sort"], sorts, keyword_sorts),
            Window(),
            values["calculateTotal"],
            values,
        )
        since = parse_state(values["sinceQueryState"])
        try:
            found = await context.store.read(account.id, calculate, asked, since)
        except CannotCalculateChanges as error:
            raise MethodError("cannotCalculateChanges", str(error)) from None
        limit = values["maxChanges"]
        if limit is not None and len(found.removed) + len(found.added) > limit:
            raise MethodError("tooManyChanges")
        response: dict[str, Any] = {
            "accountId": account.id,
            "oldQueryState": values["sinceQueryState"],
            "newQueryState": str(found.state),
            "removed": found.removed,
            "added": [{"id": i, "index": index} for i, index in found.added],
        }
        if asked.calculate_total:
            response["total"] = found.total
        return response

    return query_changes


def record_query_changes(
    reader: Any,
    type_name: str,
    query: Query,
    since: int,
    ids: Sequence[str],
    *,
    immutable: Collection[str] = (),
    touched: Callable[[set[str]], Iterable[str]] | None = None,
) -> QueryChanges:
    """What to do to the results that a query on records had at the state `since`.

    For types whose whole result list is computed from `reader.records`.  A type
    gives the list as it is now, `ids`, and passes the outcome on:

        def calculate(reader, query, since):
            ids = results(reader.records("Foo"), query)
            return record_query_changes(reader, "Foo", query, since, ids, immutable=("size",))

        "Foo/queryChanges": query_changes_method(calculate, FILTERS, SORTS)

    It is right when whether an object is in the results, and whether it comes before
    another, depends on these objects alone, and ties are broken by what never changes.
    `immutable` names the conditions and sorts on properties that never change: a query
    on nothing else is affected by no update.  Where the place of an object depends on
    others too, `touched(changed)` adds those objects that the ones changed can have moved.
    """
    changes = reader.changes(type_name, since, None)
    names = {*filter_names(query.filter), *(c.property for c in query.sort)}
    is_immutable = names <= set(immutable)
    updated = set() if is_immutable else set(changes.updated) - set(changes.only_counts)
    changed = updated | set(changes.created)
    if touched is not None:
        changed.update(touched(changed))
    added = [(i, index) for index, i in enumerate(ids) if i in changed]
    up_to = query.arguments["upToId"]
    if is_immutable and up_to in ids:  # RFC 8620 §5.6
        last = ids.index(up_to)
        added = [(i, index) for i, index in added if index <= last]
    return QueryChanges(
        removed=(*sorted(changed - set(changes.created)), *changes.destroyed),
        added=tuple(added),
        total=len(ids),
        state=changes.new_state,
    )

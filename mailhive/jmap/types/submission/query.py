"""EmailSubmission/query and /queryChanges (RFC 8621 §7.3, §7.4)."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from mailhive.jmap.checks import is_id, is_string, is_utc_date, list_of
from mailhive.jmap.context import Context
from mailhive.jmap.standard.filters import FilterTable, matches
from mailhive.jmap.standard.query import Query, parse_query, query_response, window_of
from mailhive.jmap.standard.query_changes import record_query_changes
from mailhive.jmap.standard.sorts import sorted_by
from mailhive.model.changes import QueryChanges
from mailhive.model.utcdate import parse_utc_date

__all__ = ["FILTERS", "SORTS", "query", "query_changes"]


def _same(value: Any) -> Any:
    return value


_IDS = (list_of(is_id), frozenset)
_DATE = (is_utc_date, parse_utc_date)

FILTERS: FilterTable = {
    "identityIds": _IDS,
    "emailIds": _IDS,
    "threadIds": _IDS,
    "undoStatus": (is_string, _same),
    "before": _DATE,
    "after": _DATE,
}
#: The property is called sendAt, the sort sentAt (RFC 8621 §7.3); both are understood.
_SORT_PROPERTIES = {
    "emailId": "emailId",
    "threadId": "threadId",
    "sentAt": "sendAt",
    "sendAt": "sendAt",
}
SORTS = tuple(_SORT_PROPERTIES)
_IMMUTABLE = (*SORTS, "identityIds", "emailIds", "threadIds", "before", "after")


async def query(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    asked = parse_query(arguments, FILTERS, SORTS)

    def work(reader: Any) -> tuple[int, list[str]]:
        return reader.state("EmailSubmission"), _results(reader, asked)

    state, ids = await context.store.read(account.id, work)
    position, window = window_of(asked, ids)
    return query_response(
        account.id, state, asked, position, window, len(ids), can_calculate_changes=True
    )


def query_changes(reader: Any, asked: Query, since: int) -> QueryChanges:
    """What to do to the results that the query had at the state `since`."""
    changes = reader.changes("EmailSubmission", since, None)
    return record_query_changes(changes, asked, _results(reader, asked), immutable=_IMMUTABLE)


def _results(reader: Any, asked: Query) -> list[str]:
    """The whole result; those that compare equal in the order in which they were made."""
    records = reader.records("EmailSubmission")
    matching = [
        i for i, record in records.items() if matches(asked.filter, partial(_test, record.data))
    ]
    return sorted_by(matching, asked.sort, lambda i, name: _sort_value(records[i].data, name))


def _sort_value(submission: Mapping[str, Any], name: str) -> Any:
    value = submission[_SORT_PROPERTIES[name]]
    # As text, a time with a fraction of a second would come before the same without.
    return parse_utc_date(value) if name in ("sentAt", "sendAt") else value


def _test(submission: Mapping[str, Any], name: str, value: Any) -> bool:
    if name == "undoStatus":
        return bool(submission[name] == value)
    if name == "before":
        return parse_utc_date(submission["sendAt"]) < value
    if name == "after":
        return parse_utc_date(submission["sendAt"]) >= value
    return submission[name.removesuffix("s")] in value

"""Email/query and Email/queryChanges (RFC 8621 §4.4, §4.5)."""

from collections.abc import Mapping
from typing import Any

from mailhive.errors import NotFound
from mailhive.jmap.arguments import Argument
from mailhive.jmap.checks import (
    is_boolean,
    is_id,
    is_string,
    is_unsigned,
    is_utc_date,
    list_of,
)
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.mail_capability import EMAIL_SORTS, KEYWORD_SORTS
from mailhive.jmap.standard.filters import FilterTable
from mailhive.jmap.standard.query import Query, parse_query, query_response
from mailhive.jmap.standard.query_changes import query_changes_method
from mailhive.jmap.types.email.keywords import is_keyword
from mailhive.model.changes import QueryChanges
from mailhive.model.email import EmailQuery
from mailhive.model.utcdate import parse_utc_date

__all__ = ["query", "query_changes"]


def _same(value: Any) -> Any:
    return value


def _is_header_filter(value: Any) -> bool:
    return list_of(is_string)(value) and len(value) in (1, 2)


_KEYWORD = (is_keyword, str.lower)
_TEXT = (is_string, _same)
_DATE = (is_utc_date, parse_utc_date)

# RFC 8621 §4.4.1
FILTERS: FilterTable = {
    "inMailbox": (is_id, _same),
    "inMailboxOtherThan": (list_of(is_id), tuple),
    "before": _DATE,
    "after": _DATE,
    "minSize": (is_unsigned, _same),
    "maxSize": (is_unsigned, _same),
    "allInThreadHaveKeyword": _KEYWORD,
    "someInThreadHaveKeyword": _KEYWORD,
    "noneInThreadHaveKeyword": _KEYWORD,
    "hasKeyword": _KEYWORD,
    "notKeyword": _KEYWORD,
    "hasAttachment": (is_boolean, _same),
    "text": _TEXT,
    "from": _TEXT,
    "to": _TEXT,
    "cc": _TEXT,
    "bcc": _TEXT,
    "subject": _TEXT,
    "body": _TEXT,
    "header": (_is_header_filter, tuple),
}
EXTRA: Mapping[str, Argument] = {"collapseThreads": Argument(is_boolean, False)}


async def query(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    asked = parse_query(arguments, FILTERS, EMAIL_SORTS, extra=EXTRA, keyword_sorts=KEYWORD_SORTS)
    emails = _email_query(asked)
    window = asked.window

    def work(reader: Any) -> Any:
        return reader.query_emails(
            emails,
            position=window.position,
            anchor=window.anchor,
            anchor_offset=window.anchor_offset,
            limit=window.limit,
            calculate_total=asked.calculate_total,
        )

    try:
        page = await context.store.read(account.id, work)
    except NotFound:
        raise MethodError("anchorNotFound") from None
    return query_response(
        account.id,
        page.state,
        asked,
        page.position,
        page.ids,
        page.total,
        can_calculate_changes=True,
    )


def _calculate(reader: Any, asked: Query, since: int) -> QueryChanges:
    changes: QueryChanges = reader.query_email_changes(
        _email_query(asked),
        since,
        up_to=asked.arguments["upToId"],
        calculate_total=asked.calculate_total,
    )
    return changes


query_changes = query_changes_method(
    _calculate, FILTERS, EMAIL_SORTS, extra=EXTRA, keyword_sorts=KEYWORD_SORTS
)


def _email_query(asked: Query) -> EmailQuery:
    return EmailQuery(asked.filter, asked.sort, asked.arguments["collapseThreads"])

"""SearchSnippet/get (RFC 8621 §5.1)."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import json

from mailhive.errors import BlobNotFound
from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments
from mailhive.jmap.checks import is_any, is_id, list_of
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.standard.filters import parse_filter
from mailhive.jmap.standard.get import checked_ids
from mailhive.jmap.types.email.properties import read_summary
from mailhive.jmap.types.email.query import FILTERS
from mailhive.jmap.types.email.view import view_of
from mailhive.jmap.types.search_snippet.highlight import excerpt, highlight
from mailhive.mail.analyse import body_words, word_ranges
from mailhive.mime.excerpts import Excerpts, read_excerpts
from mailhive.mime.view import EmailView
from mailhive.model.email import EmailRow, FilterCondition, FilterOperator
from mailhive.model.fulltext import phrases

__all__ = ["get"]

ARGUMENTS = {
    "filter": Argument(is_any),
    "emailIds": Argument(list_of(is_id), REQUIRED),
}

#: Words and phrases to look for.
_MAX_PHRASES = 256
#: Messages, and octets of their texts, that are worked on on the reactor thread.
_FEW = 8
_SMALL = 32_768
#: Octets of texts that are held at once.
_BATCH = 8_000_000

_Filter = FilterOperator | FilterCondition


async def get(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    values = check_arguments(arguments, ARGUMENTS)
    asked = parse_filter(values["filter"], FILTERS)
    in_subject, in_body = _phrases(asked, "subject"), _phrases(asked, "body")
    ids = checked_ids(values["emailIds"], context.limits.email_get_full) or []
    rows: dict[str, EmailRow] = await context.store.read(
        account.id,
        lambda reader: reader.emails(ids, summary=bool(in_subject), full=bool(in_body)),
    )
    subjects = {i: highlight(_subject(row), in_subject) for i, row in rows.items() if in_subject}
    previews = await _previews(context, rows, in_body) if in_body else {}
    return {
        "accountId": account.id,
        "list": [
            {"emailId": i, "subject": subjects.get(i), "preview": previews.get(i)}
            for i in ids
            if i in rows
        ],
        "notFound": [i for i in ids if i not in rows] or None,
    }


def _phrases(asked: _Filter | None, field: str) -> tuple[str, ...]:
    """What the filter wants to find in a field; unsupportedFilter if that is too much."""
    found: dict[str, None] = {}
    for name, value in _positive(asked, True) if asked is not None else ():
        if name in ("text", field):
            found |= dict.fromkeys(phrases(value) or ())
    if len(found) > _MAX_PHRASES:
        raise MethodError("unsupportedFilter", "There are too many words to look for")
    return tuple(found)


def _positive(asked: _Filter, wanted: bool) -> Iterator[tuple[str, Any]]:
    """The conditions that are to be met, not those that are to fail."""
    if isinstance(asked, FilterCondition):
        yield from asked.properties if wanted else ()
        return
    for condition in asked.conditions:
        yield from _positive(condition, wanted != (asked.operator == "NOT"))


def _subject(row: EmailRow) -> str:
    assert row.summary is not None
    return json.decode(read_summary(row.summary).subject) or ""


async def _previews(
    context: Context, rows: Mapping[str, EmailRow], wanted: tuple[str, ...]
) -> dict[str, str | None]:
    """The excerpts by email id, reading no more of each message than its texts."""

    def read_structures() -> dict[str, EmailView]:
        return {i: view_of(row, context.charsets) for i, row in rows.items()}

    few = len(rows) <= _FEW
    views = read_structures() if few else await context.offload(read_structures)
    previews: dict[str, str | None] = {}
    batch: dict[str, Excerpts] = {}

    def search() -> dict[str, str | None]:
        return {i: excerpt(body_words(views[i], texts), wanted) for i, texts in batch.items()}

    held = 0
    for email_id, view in views.items():
        ranges = word_ranges(view)
        try:
            read = partial(context.blobs.blob_store.read, view.blob_id)
            batch[email_id] = await read_excerpts(read, ranges)
        except BlobNotFound:  # destroyed since it was read: no snippet can be determined
            continue
        held += sum(ranges.values())
        if held > _BATCH:
            previews |= await context.offload(search)
            batch, held = {}, 0
    if held > _SMALL:
        return previews | await context.offload(search)
    return previews | search()

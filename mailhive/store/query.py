"""Email queries: a walk along an index, or an array of all results.

A mailbox, or all mail, by date is walked along `mbx`, and its totals are kept
counters.  Anything else, and what a walk does not reach soon, is computed once,
on a thread, into the array of its results, which is cached at the account's
Email state.

Text sorts in the order of the folded keys that ingest made, which serves the
collations `i;ascii-casemap` and `i;unicode-casemap` alike; under
`i;ascii-numeric` the leading number counts.  A missing sentAt comes first.
"""

from array import array
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mailhive.errors import NotFound, UnsupportedFilter
from mailhive.model.email import Comparator, EmailPage, EmailQuery
from mailhive.model.window import Window
from mailhive.sqlite.connection import OutOfTime
from mailhive.store.cache import Results
from mailhive.store.filters import (
    Expression,
    all_in_thread,
    compile_filter,
    conjuncts,
    has_keyword,
    in_thread,
    uses_text,
)
from mailhive.store.flags import KEYWORD_FLAGS
from mailhive.store.ids import email_id, email_number, mailbox_number
from mailhive.store.signals import Unbounded

if TYPE_CHECKING:
    from mailhive.store.reader import Reader

__all__ = ["query_emails"]

#: How far a walk goes before the array of all results is the better way.
_WALK = 800

#: Results that are searched for an anchor on the reactor thread.
_SCAN = 20_000

#: Seconds that a query may take of a thread that all accounts share.
_PATIENCE = 30.0

_NEVER = -(2**63)


@frozen
class _Walk:
    """A list view: rows of one mailbox by date whose flags are set and clear as asked."""

    mailbox: int
    ascending: bool
    mask: int
    wanted: int


def query_emails(
    reader: "Reader", query: EmailQuery, window: Window, calculate_total: bool
) -> EmailPage:
    """`IMailReader.query_emails`."""
    state = reader.state("Email")
    walk = _as_walk(query)
    if walk is not None:
        page = _page_by_walk(reader, query, walk, window, calculate_total, state)
        if page is not None:
            return page
    emails = _results(reader, query, state).emails
    anchor_index = _find(reader, emails, window.anchor)
    start, stop = window.bounds(len(emails), anchor_index)
    reader.spend((stop - start) // 10)
    ids = tuple(map(email_id, emails[start:stop]))
    return EmailPage(ids, start, len(emails) if calculate_total else None, state)


def _find(reader: "Reader", emails: "array[int]", anchor: str | None) -> int | None:
    if anchor is None:
        return None
    if reader.bounded and len(emails) > _SCAN:
        raise Unbounded
    number = email_number(anchor)
    if number is not None:
        with suppress(ValueError):
            return emails.index(number)
    raise NotFound("The anchor is not among the results")


# Walking


def _as_walk(query: EmailQuery) -> _Walk | None:
    properties = conjuncts(query.filter)
    if properties is None or (query.sort and query.sort[0].property != "receivedAt"):
        return None
    mailboxes = set()
    mask = wanted = 0
    for name, value in properties:
        if name == "inMailbox":
            mailboxes.add(mailbox_number(value) or -1)
        elif name in ("hasKeyword", "notKeyword") and value.lower() in KEYWORD_FLAGS:
            flag = KEYWORD_FLAGS[value.lower()]
            bit = flag if name == "hasKeyword" else 0
            if mask & flag and wanted & flag != bit:
                return None
            mask, wanted = mask | flag, wanted | bit
        else:
            return None
    if len(mailboxes) > 1:
        return None
    ascending = bool(query.sort) and query.sort[0].ascending
    return _Walk(mailboxes.pop() if mailboxes else 0, ascending, mask, wanted)


def _page_by_walk(
    reader: "Reader",
    query: EmailQuery,
    walk: _Walk,
    window: Window,
    calculate_total: bool,
    state: int,
) -> EmailPage | None:
    """The page, or None if it is too far away to walk to."""
    if window.anchor is not None or window.position < 0 or (calculate_total and walk.mask):
        return None
    counts = reader.connection.row(
        "SELECT total_emails, total_threads FROM mailbox WHERE id = ?", (walk.mailbox,)
    ) or (0, 0)
    total = counts[query.collapse_threads]
    start, stop = window.bounds(counts[0])
    if not walk.mask:
        stop = min(stop, total)
    if stop > _WALK:
        return None
    found = _walk(reader, walk, query.collapse_threads, start, stop)
    if found is None:
        return None
    return EmailPage(tuple(map(email_id, found)), start, total if calculate_total else None, state)


def _walk(reader: "Reader", walk: _Walk, collapse: bool, start: int, stop: int) -> list[int] | None:
    """The results from `start` to `stop`, or None if they are not within the reach."""
    found: list[int] = []
    if start >= stop:
        return found
    seen: set[int] = set()
    count = 0
    rows = reader.connection.rows(
        "SELECT email, thread, flags FROM mbx WHERE mailbox = ?"
        f" ORDER BY received_at {'ASC' if walk.ascending else 'DESC'}, email DESC LIMIT ?",
        (walk.mailbox, _WALK + 1),
    )
    with closing(rows):
        for examined, (email, thread, flags) in enumerate(rows):
            if examined == _WALK:
                return None
            if flags & walk.mask != walk.wanted:
                continue
            if collapse:
                if thread in seen:
                    continue
                seen.add(thread)
            count += 1
            if count > start:
                found.append(email)
                if count == stop:
                    break
    return found


# Arrays


def _results(reader: "Reader", query: EmailQuery, state: int) -> Results:
    cache = reader.cache
    results = None if cache is None else cache.get(reader.account_id, query, state)
    if results is None:
        if reader.bounded:
            raise Unbounded
        results = Results(_compute(reader, query), state)
        if cache is not None:
            cache.put(reader.account_id, query, results)
    return results


def _compute(reader: "Reader", query: EmailQuery) -> "array[int]":
    if uses_text(query.filter):
        reader.prepare_search()
    connection = reader.connection
    numbers = [number for (number,) in connection.all("SELECT id FROM mailbox WHERE id > 0")]
    where = compile_filter(query.filter, numbers)
    order, parameters = _order(query.sort)
    mailbox = _base_mailbox(query)
    sql = f"SELECT m.email, m.thread FROM mbx m WHERE m.mailbox = ? AND {where.sql}"
    try:
        with connection.patience(_PATIENCE):
            rows = connection.all(
                f"{sql} ORDER BY {order}", (mailbox, *where.parameters, *parameters)
            )
    except OutOfTime:
        raise UnsupportedFilter("The filter takes too long on this many Emails") from None
    if not query.collapse_threads:
        return array("q", [email for email, _ in rows])
    # RFC 8621 §4.4.3: the first Email of each Thread in the order of the sort.
    firsts: dict[int, int] = {}
    for email, thread in rows:
        firsts.setdefault(thread, email)
    return array("q", firsts.values())


def _base_mailbox(query: EmailQuery) -> int:
    """The mailbox whose rows are scanned: one that all results are in."""
    for name, value in conjuncts(query.filter) or ():
        if name == "inMailbox":
            return mailbox_number(value) or -1
    return 0


def _order(sort: tuple[Comparator, ...]) -> tuple[str, tuple[Any, ...]]:
    terms = []
    parameters: tuple[Any, ...] = ()
    for comparator in sort:
        key = _sort_key(comparator)
        terms.append(key.sql + (" ASC" if comparator.ascending else " DESC"))
        parameters += key.parameters
    return ", ".join([*terms, "m.received_at DESC", "m.email DESC"]), parameters


#: Comparator property to a column of `email_sort`.
_COLUMNS = {
    "size": "size",
    "from": "sender",
    "to": "receiver",
    "subject": "subject",
    "sentAt": f"coalesce(s.sent_at, {_NEVER})",
}
_KEYWORDS = {
    "hasKeyword": has_keyword,
    "allInThreadHaveKeyword": all_in_thread,
    "someInThreadHaveKeyword": in_thread,
}


def _sort_key(comparator: Comparator) -> Expression:
    name = comparator.property
    if name == "receivedAt":
        return Expression("m.received_at")
    if name in _KEYWORDS:
        return _KEYWORDS[name](comparator.keyword or "")
    key = f"(SELECT {_COLUMNS[name]} FROM email_sort s WHERE s.id = m.email)"
    if comparator.collation == "i;ascii-numeric" and name in ("from", "to", "subject"):
        key = f"numeric_key({key})"
    return Expression(key)

"""All results of an Email query, as an array that is kept and carried forward.

It is computed once, by a look at every Email.  Later only the Emails that a change
affects are looked at again: they are taken out of the array, and those that match
are put back where they belong.

Text sorts in the order of the folded keys that ingest made, which serves the
collations `i;ascii-casemap` and `i;unicode-casemap` alike; under
`i;ascii-numeric` the leading number counts.  A missing sentAt comes first.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mailhive.errors import CannotCalculateChanges, NotFound, UnsupportedFilter
from mailhive.model.email import Comparator, EmailQuery
from mailhive.sqlite.connection import OutOfTime
from mailhive.store.affected import THREAD_NAMES, affected_since
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
from mailhive.store.ids import mailbox_number
from mailhive.store.signals import Unbounded

if TYPE_CHECKING:
    from mailhive.store.reader import Reader

__all__ = ["FEW", "all_results", "matching", "place_of"]

#: Emails up to which it is better to look at them one by one than at all there are.
FEW = 500
#: Results that are searched for an Email from the first on, rather than by halves.
SCANNED = 10_000
#: Results that are passed over in the time in which one is found by halves.
PASSED = 20_000

#: Seconds that a query may take of a thread that all accounts share.
_PATIENCE = 30.0

_NEVER = -(2**63)


def all_results(reader: "Reader", query: EmailQuery) -> "array[int]":
    """The numbers of the Emails in the results, in order.  Not to be changed."""
    state = reader.state("Email")
    known = None if reader.cache is None else reader.cache.get(reader.account_id, query)
    if known is not None and known.state == state:
        return known.emails
    if reader.bounded:
        raise Unbounded
    emails = None if known is None else _carry_forward(reader, query, known)
    if emails is None:
        emails = array("q", _select(reader, query, "mbx m WHERE m.mailbox = ?"))
    if reader.cache is not None:
        reader.cache.put(reader.account_id, query, Results(emails, state))
    return emails


def place_of(reader: "Reader", query: EmailQuery, emails: "array[int]", email: int) -> int | None:
    """The index of an Email in results that are as of now; None if it is not among them."""
    if len(emails) <= SCANNED or _looks_at_threads(query):
        if reader.bounded and len(emails) > SCANNED:
            raise Unbounded
        try:
            return emails.index(email)
        except ValueError:
            return None
    rank = _ranking(reader, query.sort)
    try:
        place = bisect_left(emails, rank(email), key=rank)
    except NotFound:
        return None
    return place if place < len(emails) and emails[place] == email else None


def matching(reader: "Reader", query: EmailQuery, emails: Iterable[int]) -> list[int]:
    """Those of a few Emails that are in the results, in order.

    With collapseThreads, the Emails have to be all of their Threads.
    """
    numbers = ", ".join(map(str, emails))
    if not numbers:
        return []
    return _select(
        reader,
        query,
        f"email e CROSS JOIN mbx m {_ROW} WHERE m.mailbox = ? AND e.id IN ({numbers})",
    )


def _carry_forward(reader: "Reader", query: EmailQuery, known: Results) -> "array[int] | None":
    """Earlier results made those of now; None if that is not the better way."""
    # Such a key is dear to find for a single Email.
    if _looks_at_threads(query):
        return None
    try:
        affected = affected_since(reader, query, known.state, FEW)
    except CannotCalculateChanges:
        return None
    if len(affected) > FEW:
        return None
    found = matching(reader, query, affected.present)
    emails = _without_destroyed(known.emails, affected.destroyed)
    there, staying = affected.before - affected.destroyed, frozenset[int]()
    if not _looks_at_keywords(query):
        # What it is sorted by never changes: who was there and matches has its place.
        there = _among(reader, query, emails, there)
        staying = there.intersection(found)
    emails = _without(reader, query, emails, there - staying)
    rank = _ranking(reader, query.sort)
    for email in found:
        if email not in staying:
            emails = emails[:] if emails is known.emails else emails
            insort(emails, email, key=rank)
    return emails


def _without_destroyed(emails: "array[int]", destroyed: frozenset[int]) -> "array[int]":
    """Results without Emails of which nothing is known any more; the same if they have none."""
    if len(destroyed) > 1:
        return _filtered(emails, destroyed)
    for email in destroyed:
        with suppress(ValueError):
            place = emails.index(email)
            return emails[:place] + emails[place + 1 :]
    return emails


def _among(
    reader: "Reader", query: EmailQuery, emails: "array[int]", some: frozenset[int]
) -> frozenset[int]:
    """Those of some Emails that the results have."""
    if len(some) * PASSED > len(emails):
        return some.intersection(emails)
    return frozenset(e for e in some if place_of(reader, query, emails, e) is not None)


def _without(
    reader: "Reader", query: EmailQuery, emails: "array[int]", gone: frozenset[int]
) -> "array[int]":
    """Results without some Emails that they have; the same if there are none."""
    if not gone:
        return emails
    if _looks_at_keywords(query) or len(gone) * PASSED > len(emails):
        return _filtered(emails, gone)
    for email in gone:
        place = place_of(reader, query, emails, email)
        assert place is not None
        emails = emails[:place] + emails[place + 1 :]
    return emails


def _filtered(emails: "array[int]", gone: frozenset[int]) -> "array[int]":
    return array("q", [email for email in emails if email not in gone])


def _looks_at_threads(query: EmailQuery) -> bool:
    return any(comparator.property in THREAD_NAMES for comparator in query.sort)


def _looks_at_keywords(query: EmailQuery) -> bool:
    """Can an Email have another place than before?"""
    return any(comparator.property in _KEYWORDS for comparator in query.sort)


def _select(reader: "Reader", query: EmailQuery, source: str) -> list[int]:
    """The results among the rows `m` of a source, whose one `?` is a mailbox."""
    if uses_text(query.filter):
        reader.prepare_search()
    connection = reader.connection
    numbers = [number for (number,) in connection.all("SELECT id FROM mailbox WHERE id > 0")]
    where = compile_filter(query.filter, numbers)
    terms = _terms(query.sort)
    order = ", ".join(key.sql + (" ASC" if ascending else " DESC") for key, ascending in terms)
    parameters = (_base_mailbox(query), *where.parameters, *_parameters(terms))
    columns = ("email", "thread") if query.collapse_threads else ("email",)
    try:
        with connection.patience(_PATIENCE):
            found = connection.numbers(
                columns,
                f"SELECT m.email, m.thread FROM {source} AND {where.sql} ORDER BY {order}",
                parameters,
            )
    except OutOfTime:
        raise UnsupportedFilter("The filter takes too long on this many Emails") from None
    if not query.collapse_threads:
        return found
    # RFC 8621 §4.4.3: the first Email of each Thread in the order of the sort.
    firsts: dict[int, int] = {}
    for email, thread in zip(found[::2], found[1::2], strict=True):
        firsts.setdefault(thread, email)
    return list(firsts.values())


def _base_mailbox(query: EmailQuery) -> int:
    """The mailbox whose rows are looked at: one that all results are in."""
    for name, value in conjuncts(query.filter) or ():
        if name == "inMailbox":
            return mailbox_number(value) or -1
    return 0


# Order

#: The row of `mbx` of an Email `e`, once the mailbox is given.
_ROW = "ON m.received_at = e.received_at AND m.email = e.id"

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

_Terms = list[tuple[Expression, bool]]  # with the direction: ascending?


def _terms(sort: tuple[Comparator, ...]) -> _Terms:
    """What is compared, one after the other, which puts any two Emails in order."""
    ties = [(Expression("m.received_at"), False), (Expression("m.email"), False)]
    return [*((_sort_key(comparator), comparator.ascending) for comparator in sort), *ties]


def _parameters(terms: _Terms) -> tuple[Any, ...]:
    return tuple(parameter for key, _ in terms for parameter in key.parameters)


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


@frozen(order=False)
class _Descending:
    """Compares the other way round."""

    value: Any

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other.value < self.value)


def _ranking(reader: "Reader", sort: tuple[Comparator, ...]) -> Callable[[int], Any]:
    """A function that gives for an Email what compares as `_terms` do.

    It raises `NotFound` for an Email that there is not.
    """
    terms = _terms(sort)
    columns = ", ".join(key.sql for key, _ in terms)
    # What is looked at of a row of `mbx`, the Email has as well.
    row = "SELECT id AS email, thread, received_at, flags FROM email WHERE id = ?"
    sql = f"SELECT {columns} FROM ({row}) m"
    parameters = _parameters(terms)

    def rank(email: int) -> tuple[Any, ...]:
        row = reader.connection.row(sql, (*parameters, email))
        if row is None:
            raise NotFound("There is no such Email")
        return tuple(
            value if ascending else _Descending(value)
            for value, (_, ascending) in zip(row, terms, strict=True)
        )

    return rank

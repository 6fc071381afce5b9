"""Email queries: pages of results, and what became of earlier ones.

A list view is walked along its index.  Anything else, and what a walk does not
reach soon, is answered from the array of all results.
"""

from array import array
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from mailhive.errors import NotFound
from mailhive.model.changes import QueryChanges
from mailhive.model.email import EmailPage, EmailQuery
from mailhive.model.window import Window
from mailhive.store.affected import affected_since, is_immutable
from mailhive.store.ids import email_id, email_number
from mailhive.store.listview import ListView, OutOfReach
from mailhive.store.results import FEW, all_results, matching, place_of
from mailhive.store.signals import Unbounded

if TYPE_CHECKING:
    from mailhive.store.reader import Reader

__all__ = ["query_changes", "query_emails"]


def query_emails(
    reader: "Reader", query: EmailQuery, window: Window, calculate_total: bool
) -> EmailPage:
    """`IMailReader.query_emails`."""
    view = ListView.of(query)
    if view is not None:
        page = _page_of_view(reader, view, window, calculate_total)
        if page is not None:
            return page
    emails = all_results(reader, query)
    start, stop = window.bounds(len(emails), _find(reader, query, emails, window.anchor))
    reader.spend((stop - start) // 10)
    ids = tuple(map(email_id, emails[start:stop]))
    return EmailPage(ids, start, len(emails) if calculate_total else None, reader.state("Email"))


def _page_of_view(
    reader: "Reader", view: ListView, window: Window, calculate_total: bool
) -> EmailPage | None:
    """The page, or None if it is too far away to walk to."""
    total = view.total(reader)
    if window.anchor is not None or window.position < 0 or (calculate_total and total is None):
        return None
    start, stop = window.bounds(view.size(reader))
    try:
        ids = tuple(map(email_id, view.window(reader, start, stop)))
    except OutOfReach:
        return None
    return EmailPage(ids, start, total if calculate_total else None, reader.state("Email"))


def _find(
    reader: "Reader", query: EmailQuery, emails: "array[int]", anchor: str | None
) -> int | None:
    if anchor is None:
        return None
    number = email_number(anchor)
    place = None if number is None else place_of(reader, query, emails, number)
    if place is None:
        raise NotFound("The anchor is not among the results")
    return place


# Changes


def query_changes(
    reader: "Reader", query: EmailQuery, since: int, up_to: str | None, calculate_total: bool
) -> QueryChanges:
    """`IMailReader.query_email_changes`."""
    affected = affected_since(reader, query, since)
    last = email_number(up_to) if up_to is not None and is_immutable(query) else None
    view = ListView.of(query)
    total = view.total(reader) if view is not None and calculate_total else None
    found: list[int] | None = None
    added: list[tuple[int, int]] | None = None
    if len(affected.present) <= FEW:
        if view is None and affected.present and reader.bounded:
            raise Unbounded
        found = matching(reader, query, affected.present)
        added = _places_in_view(reader, view, found, last)
    if added is None or (calculate_total and total is None):
        emails = all_results(reader, query)
        if found is None:
            found = [email for email in emails if email in affected.present]
        added, total = _places(emails, found, last), len(emails)
    return QueryChanges(
        removed=tuple(map(email_id, sorted(affected.before))),
        added=tuple((email_id(email), index) for email, index in added),
        total=total,
        state=reader.state("Email"),
    )


def _places_in_view(
    reader: "Reader", view: ListView | None, found: list[int], last: int | None
) -> list[tuple[int, int]] | None:
    """The same as `_places`; None if that takes the array of all results."""
    if not found:
        return []
    if view is None:
        return None
    left = set(found)
    places = []
    try:
        with closing(view.walk(reader)) as walk:
            for index, email in enumerate(walk):
                if email in left:
                    left.remove(email)
                    places.append((email, index))
                if not left or email == last:
                    break
    except OutOfReach:
        return None
    return places


def _places(emails: "array[int]", found: list[int], last: int | None) -> list[tuple[int, int]]:
    """Some of the results, in their order, with their indexes, up to that of `last`."""
    stop = len(emails)
    if last is not None:
        with suppress(ValueError):
            stop = emails.index(last) + 1
    places = []
    index = -1
    for email in found:
        index = emails.index(email, index + 1)
        if index >= stop:
            break
        places.append((email, index))
    return places

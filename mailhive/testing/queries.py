"""Queries of every datatype that has them: the usual ones, and any at random.

Of the arguments of `/query` and `/queryChanges`, those that say which query it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

__all__ = ["KEYWORDS", "QUERIES", "Queries", "Subjects", "dates"]

#: The keywords and dates that random objects have, and random queries look for.
KEYWORDS = ("$seen", "$flagged", "work")
dates = st.integers(1, 5).map(lambda day: f"2024-05-0{day}T00:00:00Z")

Arguments = dict[str, Any]
Strategy = st.SearchStrategy[Any]


@frozen
class Subjects:
    """Ids of what there is in an account, for conditions to name; `mailboxes` is not empty."""

    mailboxes: Sequence[str]
    emails: Sequence[str] = ()
    identities: Sequence[str] = ()


@frozen
class Queries:
    """Of one type: `usual(subjects)` are some of each kind, `any_of(subjects)` draws one."""

    usual: Callable[[Subjects], list[Arguments]]
    any_of: Callable[[Subjects], st.SearchStrategy[Arguments]]


def _filters(conditions: Mapping[str, Strategy]) -> Strategy:
    """Filters of some conditions, nested or not."""
    names = st.sampled_from(sorted(conditions))
    condition = st.lists(names, min_size=1, max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: conditions[name] for name in names})
    )
    return st.recursive(
        condition,
        lambda inner: st.fixed_dictionaries(
            {
                "operator": st.sampled_from(["AND", "OR", "NOT"]),
                "conditions": st.lists(inner, max_size=2),
            }
        ),
        max_leaves=3,
    )


def _sorts(*properties: str, keyword: tuple[str, ...] = ()) -> Strategy:
    """Sorts by some properties, and none."""
    plain = st.fixed_dictionaries(
        {"property": st.sampled_from(properties), "isAscending": st.booleans()}
    )
    if keyword:
        plain |= st.fixed_dictionaries(
            {
                "property": st.sampled_from(keyword),
                "keyword": st.sampled_from(KEYWORDS),
                "isAscending": st.booleans(),
            }
        )
    return st.none() | st.lists(plain, max_size=2)


def _some(ids: Sequence[str]) -> Strategy:
    return st.lists(st.sampled_from(ids), max_size=3) if ids else st.just([])


_NEWEST = [{"property": "receivedAt", "isAscending": False}]
_SEEN_LAST = [{"property": "hasKeyword", "keyword": "$seen", "isAscending": False}]
_WORK_FIRST = [{"property": "someInThreadHaveKeyword", "keyword": "work"}, *_NEWEST]


def _usual_of_emails(subjects: Subjects) -> list[Arguments]:
    mailbox = subjects.mailboxes[0]
    return [
        {"filter": {"inMailbox": mailbox}, "sort": _NEWEST},
        {"filter": {"inMailbox": mailbox}, "sort": _NEWEST, "collapseThreads": True},
        {"filter": {"inMailboxOtherThan": [mailbox]}, "sort": _SEEN_LAST},
        {"filter": {"notKeyword": "$flagged"}, "collapseThreads": True},
        {"filter": {"noneInThreadHaveKeyword": "$flagged"}},
        {"filter": {"allInThreadHaveKeyword": "$seen"}, "sort": _NEWEST},
        {"sort": _WORK_FIRST, "collapseThreads": True},
        {"filter": {"from": "ann"}, "sort": [{"property": "subject"}]},
        {"filter": {"minSize": 300}, "collapseThreads": True},
    ]


def _any_of_emails(subjects: Subjects) -> Strategy:
    mailbox, keyword = st.sampled_from(subjects.mailboxes), st.sampled_from(KEYWORDS)
    immutable: dict[str, Strategy] = {
        "before": dates,
        "after": dates,
        "minSize": st.just(300),
        "from": st.sampled_from(["ann", "bob"]),
        "subject": st.just("lunch"),
        "header": st.just(["Subject", "plans"]),
    }
    mutable: dict[str, Strategy] = {
        "inMailbox": mailbox,
        "inMailboxOtherThan": st.lists(mailbox, max_size=1),
        "hasKeyword": keyword,
        "notKeyword": keyword,
    }
    of_thread: dict[str, Strategy] = dict.fromkeys(
        ("allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword"), keyword
    )
    columns = ("receivedAt", "size", "from", "to", "subject", "sentAt")
    words = ("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword")
    kinds: Strategy = st.sampled_from(
        [
            ({**mutable, **of_thread}, columns, words),
            (mutable, columns, words[:1]),
            ({"inMailbox": mailbox}, ("receivedAt",), ()),
            (immutable, columns, ()),
            ({**immutable, **mutable}, columns, ()),
        ]
    )
    return kinds.flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "filter": st.none() | _filters(kind[0]) | _filters(kind[0]),
                "sort": _sorts(*kind[1], keyword=kind[2]),
                "collapseThreads": st.booleans(),
            }
        )
    )


def _usual_of_mailboxes(subjects: Subjects) -> list[Arguments]:
    return [
        {"filter": {"parentId": subjects.mailboxes[0]}},
        {"sort": [{"property": "name"}]},
        {"sort": [{"property": "name"}], "sortAsTree": True},
        {"filter": {"operator": "NOT", "conditions": [{"name": "b"}]}, "filterAsTree": True},
        {"filter": {"isSubscribed": True}},
    ]


def _any_of_mailboxes(subjects: Subjects) -> Strategy:
    conditions: dict[str, Strategy] = {
        "parentId": st.none() | st.sampled_from(subjects.mailboxes),
        "name": st.sampled_from(["a", "b"]),
        "role": st.sampled_from([None, "inbox", "trash"]),
        "hasAnyRole": st.booleans(),
        "isSubscribed": st.booleans(),
    }
    return st.fixed_dictionaries(
        {
            "filter": st.none() | _filters(conditions) | _filters(conditions),
            "sort": _sorts("name", "sortOrder"),
            "sortAsTree": st.booleans(),
            "filterAsTree": st.booleans(),
        }
    )


def _usual_of_submissions(subjects: Subjects) -> list[Arguments]:
    return [
        {},
        {"filter": {"undoStatus": "final"}},
        {"filter": {"undoStatus": "pending"}, "sort": [{"property": "threadId"}]},
        {"filter": {"identityIds": list(subjects.identities[:1])}},
        {"sort": [{"property": "sentAt", "isAscending": False}]},
    ]


def _any_of_submissions(subjects: Subjects) -> Strategy:
    conditions: dict[str, Strategy] = {
        "identityIds": _some(subjects.identities),
        "emailIds": _some(subjects.emails),
        "undoStatus": st.sampled_from(["pending", "final", "canceled"]),
        "before": dates,
        "after": dates,
    }
    return st.fixed_dictionaries(
        {
            "filter": st.none() | _filters(conditions) | _filters(conditions),
            "sort": _sorts("emailId", "threadId", "sentAt"),
        }
    )


#: Those of each type that has `/queryChanges`.
QUERIES: Mapping[str, Queries] = {
    "Email": Queries(_usual_of_emails, _any_of_emails),
    "EmailSubmission": Queries(_usual_of_submissions, _any_of_submissions),
    "Mailbox": Queries(_usual_of_mailboxes, _any_of_mailboxes),
}

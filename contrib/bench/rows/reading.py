"""Lists, pages, conversations, and what is new in them."""

import random
from typing import Any

from jmap import Failed, reference

from rows.site import BODY_PROPERTIES, LIST_PROPERTIES, NEWEST, PAGE, Measurements, Site, row

DELTA = 100
#: A position deep in a large list.
DEEP = 50_000
KEYWORD = "bench"


@row("Core/echo", goal=5, indexed=True)
def echo(site: Site) -> Measurements:
    while True:
        site.account.call("Core/echo", hello="world", number=42)
        yield site.account.seconds


@row("Mailbox/get all", goal=5, indexed=True)
def mailbox_get(site: Site) -> Measurements:
    while True:
        site.account.call("Mailbox/get", ids=None)
        yield site.account.seconds


def conversations(site: Site, **query: Any) -> float:
    """The four calls of RFC 8621 §4.10 that fill a list of conversations, in one request."""
    answers = site.account.calls(
        [
            (
                "Email/query",
                {
                    "filter": {"inMailbox": site.inbox},
                    "sort": NEWEST,
                    "collapseThreads": True,
                    "limit": PAGE,
                    "calculateTotal": True,
                    **query,
                },
            ),
            (
                "Email/get",
                {"#ids": reference(0, "Email/query", "/ids"), "properties": ["threadId"]},
            ),
            ("Thread/get", {"#ids": reference(1, "Email/get", "/list/*/threadId")}),
            (
                "Email/get",
                {
                    "#ids": reference(2, "Thread/get", "/list/*/emailIds"),
                    "properties": LIST_PROPERTIES,
                },
            ),
        ]
    )
    if not answers[3]["list"]:
        raise Failed("nothing in the list")
    return site.account.seconds


@row("inbox open", goal=10, indexed=True)
def inbox_open(site: Site) -> Measurements:
    while True:
        yield conversations(site)


@row("conversations at 80 %", goal=10)
def conversations_deep(site: Site) -> Measurements:
    total = site.query(
        filter={"inMailbox": site.inbox},
        sort=NEWEST,
        collapseThreads=True,
        limit=1,
        calculateTotal=True,
    )["total"]
    while True:
        yield conversations(site, position=total * 8 // 10)


def page(site: Site, **query: Any) -> float:
    """A window on the list of messages, and what a list shows of these."""
    window = {"filter": {"inMailbox": site.inbox}, "sort": NEWEST, "limit": PAGE}
    answers = site.account.calls(
        [
            ("Email/query", {**window, **query}),
            (
                "Email/get",
                {"#ids": reference(0, "Email/query", "/ids"), "properties": LIST_PROPERTIES},
            ),
        ]
    )
    if len(answers[1]["list"]) != PAGE:
        raise Failed(f"{len(answers[1]['list'])} of {PAGE} messages in the page")
    return site.account.seconds


@row("page at 0", goal=10, indexed=True)
def page_first(site: Site) -> Measurements:
    while True:
        yield page(site)


@row("page at 80 %", goal=10)
def page_deep(site: Site) -> Measurements:
    position = site.inbox_total() * 8 // 10
    while True:
        yield page(site, position=position)


@row(f"page at {DEEP:,}", goal=10)
def page_at_depth(site: Site) -> Measurements:
    if site.inbox_total() < DEEP + PAGE:
        raise Failed("too few messages")
    while True:
        yield page(site, position=DEEP)


@row("page by anchor", indexed=True)
def page_by_anchor(site: Site) -> Measurements:
    [anchor] = site.inbox_ids(1, site.inbox_total() // 2)
    while True:
        yield page(site, anchor=anchor, anchorOffset=1)


@row(f"changes + get of {DELTA}", goal=10, indexed=True)
def delta(site: Site) -> Measurements:
    state = site.account.call("Email/get", ids=[])["state"]
    added = site.add(DELTA)
    try:
        while True:
            _, got = site.account.calls(
                [
                    ("Email/changes", {"sinceState": state}),
                    (
                        "Email/get",
                        {
                            "#ids": reference(0, "Email/changes", "/created"),
                            "properties": LIST_PROPERTIES,
                        },
                    ),
                ]
            )
            if len(got["list"]) != DELTA:
                raise Failed(f"{len(got['list'])} of {DELTA} created messages told")
            yield site.account.seconds
    finally:
        site.destroy(added)


@row(f"queryChanges of {DELTA}", indexed=True)
def query_changes(site: Site) -> Measurements:
    ids = site.inbox_ids(DELTA)
    window: dict[str, Any] = {"filter": {"inMailbox": site.inbox}, "sort": NEWEST}
    state = site.query(**window, limit=1)["queryState"]
    site.update({i: {f"keywords/{KEYWORD}": True} for i in random.sample(ids, DELTA)})
    try:
        while True:
            site.account.call("Email/queryChanges", **window, sinceQueryState=state)
            yield site.account.seconds
    finally:
        site.update({i: {f"keywords/{KEYWORD}": None} for i in ids})


@row("bodies of 20", goal=5, indexed=True)
def bodies(site: Site) -> Measurements:
    ids = site.inbox_ids(20)
    while True:
        site.account.call(
            "Email/get",
            ids=ids,
            properties=BODY_PROPERTIES,
            fetchTextBodyValues=True,
            fetchHTMLBodyValues=True,
        )
        yield site.account.seconds


@row("thread open", indexed=True)
def thread_open(site: Site) -> Measurements:
    ids = site.inbox_ids(PAGE)
    emails = site.account.call("Email/get", ids=ids, properties=["threadId"])["list"]
    threads = site.account.call("Thread/get", ids=list({e["threadId"] for e in emails}))["list"]
    longest = max(threads, key=lambda t: len(t["emailIds"]))["id"]
    while True:
        site.account.calls(
            [
                ("Thread/get", {"ids": [longest]}),
                (
                    "Email/get",
                    {
                        "#ids": reference(0, "Thread/get", "/list/*/emailIds"),
                        "properties": BODY_PROPERTIES,
                        "fetchHTMLBodyValues": True,
                    },
                ),
            ]
        )
        yield site.account.seconds


@row("Thread/get of 50", indexed=True)
def thread_get(site: Site) -> Measurements:
    ids = site.inbox_ids(PAGE)
    emails = site.account.call("Email/get", ids=ids, properties=["threadId"])["list"]
    threads = list({e["threadId"] for e in emails})
    while True:
        site.account.call("Thread/get", ids=threads)
        yield site.account.seconds

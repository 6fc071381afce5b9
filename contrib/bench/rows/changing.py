"""Flags and mailboxes of messages, and reading again after them."""

import itertools
import random
from collections.abc import Callable
from typing import Any

from jmap import check_set

from rows.reading import (
    KEYWORD,
    bodies,
    conversations_deep,
    inbox_open,
    mailbox_get,
    page_by_anchor,
    page_deep,
    page_first,
)
from rows.searching import by_subject, inbox_unread, search_common, search_rare
from rows.site import Measurements, Site, row


def flag(count: int, **about: Any) -> Callable[[Site], Measurements]:
    @row(f"flag {count}", durable=True, indexed=True, **about)
    def run(site: Site) -> Measurements:
        ids = site.inbox_ids(count)
        try:
            for value in itertools.cycle((True, None)):
                yield site.update({i: {f"keywords/{KEYWORD}": value} for i in ids})
        finally:
            site.update({i: {f"keywords/{KEYWORD}": None} for i in ids})

    return run


flag_one = flag(1, goal=5)
flag(100, goal=5)
flag(500)


def move(count: int) -> None:
    @row(f"move {count}", durable=True, indexed=True)
    def run(site: Site) -> Measurements:
        emails = site.inbox_ids(count)
        name = f"bench {random.getrandbits(32):x}"
        folder = check_set(site.account.call("Mailbox/set", create={"f": {"name": name}}))
        target = folder["created"]["f"]["id"]
        try:
            for place in itertools.cycle((target, site.inbox)):
                yield site.update({email: {"mailboxIds": {place: True}} for email in emails})
        finally:
            site.update({email: {"mailboxIds": {site.inbox: True}} for email in emails})
            site.account.call("Mailbox/set", destroy=[target])


move(1)
move(500)


# What a server keeps of an answer may not hold any more


def after_change(name: str, read: Callable[[Site], Measurements], **about: Any) -> None:
    @row(f"{name}, changed", **about)
    def run(site: Site) -> Measurements:
        reading, changing = read(site), flag_one(site)
        try:
            while True:
                next(changing)
                yield next(reading)
        finally:
            changing.close()


after_change("Mailbox/get all", mailbox_get, goal=5, indexed=True)
after_change("inbox open", inbox_open, goal=10, indexed=True)
after_change("conversations at 80 %", conversations_deep, goal=10)
after_change("page at 0", page_first, goal=10, indexed=True)
after_change("page at 80 %", page_deep, goal=10)
after_change("page by anchor", page_by_anchor, indexed=True)
after_change("bodies of 20", bodies, goal=5, indexed=True)
after_change("search: rare word", search_rare)
after_change("inbox unread", inbox_unread)
after_change("inbox by subject", by_subject, goal=5)
after_change("search: common word", search_common, goal=5)

"""What is measured: one generator function per row of the table.

A row prepares before its first `yield`, yields one measurement whenever it is
resumed, and puts back what it has changed in its `finally`.  Only what lies in
`account.seconds`, the time of one HTTP exchange, is counted, or what a row adds
up itself.
"""

import itertools
import random
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from corpus import Corpus, Message
from fill import deliver, import_arguments
from jmap import Account, Failed, check_set, reference
from vocabulary import COMMON, PHRASE, RARE, words

NEWEST = [{"property": "receivedAt", "isAscending": False}]
PAGE = 50
DELTA = 100
LIST_PROPERTIES = words("""id threadId mailboxIds keywords hasAttachment from to subject
receivedAt size preview""")
BODY_PROPERTIES = words("""id blobId threadId mailboxIds keywords from to cc bcc replyTo
subject sentAt receivedAt hasAttachment bodyValues textBody htmlBody attachments""")
KEYWORD = "bench"

# What the rows add themselves comes from beyond what a fill reaches, and never
# twice: some servers know a message again that has been destroyed.
BEYOND = range(10_000_000, 1_000_000_000)


@dataclass
class Site:
    """A server under measurement."""

    name: str
    account: Account
    corpus: Corpus
    smtp: str | None = None
    recipient: str = ""
    inbox: str = ""
    _beyond: Iterator[int] = field(default_factory=lambda: itertools.count(random.choice(BEYOND)))

    def prepare(self) -> None:
        """Find the inbox."""
        mailboxes = self.account.call("Mailbox/get", ids=None, properties=["role"])["list"]
        self.inbox = next(m["id"] for m in mailboxes if m["role"] == "inbox")

    def query(self, **arguments: Any) -> dict[str, Any]:
        return self.account.call("Email/query", **arguments)

    def inbox_ids(self, count: int) -> list[str]:
        """Ids of the newest messages of the inbox; `Failed` if there are fewer."""
        ids: list[str] = []
        while len(ids) < count:
            page = self.query(
                filter={"inMailbox": self.inbox},
                sort=NEWEST,
                position=len(ids),
                limit=count - len(ids),
            )["ids"]
            if not page:
                raise Failed(f"the inbox has only {len(ids)} messages; {count} are needed")
            ids += page
        return ids

    def fresh(self, count: int) -> list[Message]:
        """Messages that this account does not have yet."""
        return [self.corpus[i] for i in itertools.islice(self._beyond, count)]

    def add(self, count: int) -> list[str]:
        """Import that many new messages; their ids."""
        ids: list[str] = []
        for message in self.fresh(count):
            blob = self.account.upload(message.raw)
            emails = {"m": import_arguments(message, blob, self.inbox, received_now=True)}
            ids.append(
                check_set(self.account.call("Email/import", emails=emails))["created"]["m"]["id"]
            )
        return ids

    def destroy(self, ids: list[str]) -> None:
        for some in batches(ids, self.account.limit("maxObjectsInSet")):
            check_set(self.account.call("Email/set", destroy=some))


Measurements = Generator[float, None, None]


@dataclass(frozen=True)
class Row:
    name: str
    run: Callable[[Site], Measurements]
    unit: str = "ms"  # or msg/s
    rounds: int | None = None  # at most


ROWS: list[Row] = []


def row(
    name: str, unit: str = "ms", rounds: int | None = None
) -> Callable[[Callable[[Site], Measurements]], Callable[[Site], Measurements]]:
    def register(run: Callable[[Site], Measurements]) -> Callable[[Site], Measurements]:
        ROWS.append(Row(name, run, unit, rounds))
        return run

    return register


def batches(ids: list[str], size: int) -> list[list[str]]:
    return [ids[i : i + size] for i in range(0, len(ids), size)]


# Reading


@row("Core/echo")
def echo(site: Site) -> Measurements:
    while True:
        site.account.call("Core/echo", hello="world", number=42)
        yield site.account.seconds


@row("Mailbox/get all")
def mailbox_get(site: Site) -> Measurements:
    while True:
        site.account.call("Mailbox/get", ids=None)
        yield site.account.seconds


def listing(site: Site, **query: Any) -> float:
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


@row("inbox open")
def inbox_open(site: Site) -> Measurements:
    while True:
        yield listing(site)


def collapsed_total(site: Site) -> int:
    total: int = site.query(
        filter={"inMailbox": site.inbox},
        sort=NEWEST,
        collapseThreads=True,
        limit=1,
        calculateTotal=True,
    )["total"]
    return total


@row("page at 80 %")
def page_deep(site: Site) -> Measurements:
    position = collapsed_total(site) * 8 // 10
    while True:
        yield listing(site, position=position)


@row("page by anchor at 50 %")
def page_by_anchor(site: Site) -> Measurements:
    anchor = site.query(
        filter={"inMailbox": site.inbox},
        sort=NEWEST,
        collapseThreads=True,
        limit=1,
        position=collapsed_total(site) // 2,
    )["ids"][0]
    while True:
        yield listing(site, anchor=anchor, anchorOffset=1)


@row(f"delta of {DELTA} new")
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


@row("bodies of 20")
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


@row("thread open")
def thread_get(site: Site) -> Measurements:
    emails = site.account.call("Email/get", ids=site.inbox_ids(PAGE), properties=["threadId"])[
        "list"
    ]
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


# Searching


def search(
    name: str, condition: dict[str, Any], sort: list[dict[str, Any]] = NEWEST
) -> Callable[[Site], Measurements]:
    @row(name)
    def run(site: Site) -> Measurements:
        where = {"inMailbox": site.inbox} if "inbox" in name else {}
        while True:
            site.query(filter={**where, **condition}, sort=sort, limit=PAGE, calculateTotal=True)
            yield site.account.seconds

    return run


search("search: rare word", {"text": RARE})
search_common = search("search: common word", {"text": COMMON})
search("search: phrase", {"text": f'"{PHRASE}"'})
search("search: Cyrillic word", {"body": "договор"})
search("search: from", {"from": "alice"})
inbox_unread = search("inbox unread", {"notKeyword": "$seen"})
search("inbox by subject", {}, [{"property": "subject", "isAscending": True}])


# Changing


def update(site: Site, patches: dict[str, dict[str, Any]]) -> float:
    """Email/set in as many calls as the server's limit asks for."""
    seconds = 0.0
    for ids in batches(list(patches), site.account.limit("maxObjectsInSet")):
        check_set(site.account.call("Email/set", update={i: patches[i] for i in ids}))
        seconds += site.account.seconds
    return seconds


def flag(count: int) -> Callable[[Site], Measurements]:
    @row(f"flag {count}")
    def run(site: Site) -> Measurements:
        ids = site.inbox_ids(count)
        try:
            for value in itertools.cycle((True, None)):
                yield update(site, {i: {f"keywords/{KEYWORD}": value} for i in ids})
        finally:
            update(site, {i: {f"keywords/{KEYWORD}": None} for i in ids})

    return run


flag_one = flag(1)
flag(100)
flag(500)


@row("move 1")
def move(site: Site) -> Measurements:
    email = site.inbox_ids(1)[0]
    name = f"bench {random.getrandbits(32):x}"
    folder = check_set(site.account.call("Mailbox/set", create={"f": {"name": name}}))
    target = folder["created"]["f"]["id"]
    try:
        for place in itertools.cycle((target, site.inbox)):
            yield update(site, {email: {"mailboxIds": {place: True}}})
    finally:
        update(site, {email: {"mailboxIds": {site.inbox: True}}})
        site.account.call("Mailbox/set", destroy=[target])


# Reading again after a change: what a server keeps of an answer may not hold any more


def after_change(name: str, read: Callable[[Site], Measurements]) -> None:
    @row(f"{name}, changed")
    def run(site: Site) -> Measurements:
        reading, changing = read(site), flag_one(site)
        try:
            while True:
                next(changing)
                yield next(reading)
        finally:
            changing.close()


after_change("inbox open", inbox_open)
after_change("page at 80 %", page_deep)
after_change("inbox unread", inbox_unread)
after_change("search: common word", search_common)


# Octets


@row("download a message")
def download(site: Site) -> Measurements:
    email = site.account.call("Email/get", ids=site.inbox_ids(1), properties=["blobId", "size"])[
        "list"
    ][0]
    while True:
        if len(site.account.download(email["blobId"])) != email["size"]:
            raise Failed("not the octets of the message")
        yield site.account.seconds


@row("upload 64 KB")
def upload(site: Site) -> Measurements:
    while True:
        site.account.upload(random.randbytes(64 * 1024), "application/octet-stream")
        yield site.account.seconds


@row("import 1 with upload")
def import_one(site: Site) -> Measurements:
    added: list[str] = []
    try:
        while True:
            message = site.fresh(1)[0]
            blob = site.account.upload(message.raw)
            seconds = site.account.seconds
            emails = {"m": import_arguments(message, blob, site.inbox, received_now=True)}
            made = check_set(site.account.call("Email/import", emails=emails))
            added.append(made["created"]["m"]["id"])
            yield seconds + site.account.seconds
    finally:
        site.destroy(added)


# Delivering


def delivery(senders: int, count: int) -> None:
    @row(f"SMTP {senders} sender{'s' * (senders > 1)}", unit="msg/s", rounds=3)
    def run(site: Site) -> Measurements:
        if site.smtp is None:
            raise Failed("no SMTP address given")
        state = site.account.call("Email/get", ids=[])["state"]
        sent = 0
        try:
            while True:
                messages = site.fresh(count)
                seconds = deliver(site.smtp, site.recipient, messages, senders)
                sent += count
                yield count / seconds
        finally:
            site.destroy(arrived(site, state, sent))

    # A server may answer 250 long before a message can be read.
    def arrived(site: Site, state: str, expected: int) -> list[str]:
        ids: list[str] = []
        patience = 100
        while len(ids) < expected and patience:
            changes = site.account.call("Email/changes", sinceState=state)
            state = changes["newState"]
            ids += changes["created"]
            if not changes["created"] and not changes["hasMoreChanges"]:
                patience -= 1
                time.sleep(0.1)
        return ids


delivery(1, 100)
delivery(8, 400)
delivery(50, 1000)

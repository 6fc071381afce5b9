"""Several clients at once, each a process of its own that sends requests made before."""

import itertools
import json
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection as Pipe
from typing import Any
from urllib.parse import urljoin

from http1 import HEAD_END, Connection
from jmap import Account, Call, Failed, reference
from vocabulary import COMMON

from rows.site import BODY_PROPERTIES, LIST_PROPERTIES, NEWEST, PAGE, Measurements, Site, row

SECONDS = 2.0
USERS = 8
HEAVY = 3
LIGHT = 300

FORK = multiprocessing.get_context("fork")


def octets(account: Account, calls: list[Call]) -> bytes:
    """A whole request."""
    body = json.dumps(account.request_object(calls), separators=(",", ":")).encode()
    url = urljoin(account.url, account.session["apiUrl"])
    head = account.head("POST", url, {"Content-Type": "application/json"})
    return head + b"\r\nContent-Length: %d" % len(body) + HEAD_END + body


def mixture(account: Account) -> list[bytes]:
    """What a mail client asks for in a minute: lists, messages, flags, news, a search."""
    mailboxes = account.call("Mailbox/get", ids=None, properties=["role"])["list"]
    inbox = next(m["id"] for m in mailboxes if m["role"] == "inbox")
    window: dict[str, Any] = {"filter": {"inMailbox": inbox}, "sort": NEWEST, "limit": PAGE}
    answer = account.call("Email/query", **window)
    ids, state = answer["ids"], account.call("Email/get", ids=[])["state"]
    listed = {"#ids": reference(0, "Email/query", "/ids"), "properties": LIST_PROPERTIES}
    page: list[Call] = [("Email/query", window), ("Email/get", listed)]
    shown = {"properties": BODY_PROPERTIES, "fetchHTMLBodyValues": True}
    search = {"filter": {"text": COMMON}, "sort": NEWEST, "limit": PAGE}
    requests: list[list[Call]] = [
        page,
        [("Mailbox/get", {"ids": None})],
        [("Email/changes", {"sinceState": state, "maxChanges": 50})],
        [("Email/query", search), ("Email/get", listed)],
    ]
    for email in ids[:6]:
        requests += [
            [("Email/get", {"ids": [email], **shown})],
            [("Email/set", {"update": {email: {"keywords/bench": True}}})],
            [("Email/set", {"update": {email: {"keywords/bench": None}}})],
        ]
    return [octets(account, calls) for calls in requests]


def repeat(url: str, requests: list[bytes], order: Iterator[bytes], orders: Pipe) -> None:
    """In a process: send requests from when it is told to until the time is over."""
    connection = Connection(url)
    for request in requests[:2]:
        connection.exchange(request)
    while (stop := orders.recv()) is not None:
        count = 0
        while time.monotonic() < stop:
            if connection.exchange(next(order)).status != 200:
                raise Failed("a request of many was refused")
            count += 1
        orders.send(count)


class Crowd:
    """Processes that send requests at the same time."""

    def __init__(self, jobs: list[tuple[str, list[bytes]]]) -> None:
        self._pipes, self._processes = [], []
        for url, requests in jobs:
            ours, theirs = FORK.Pipe()
            order = itertools.cycle(requests)
            process = FORK.Process(target=repeat, args=(url, requests, order, theirs), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def begin(self, seconds: float) -> None:
        stop = time.monotonic() + seconds
        for pipe in self._pipes:
            pipe.send(stop)

    def end(self) -> int:
        """How many requests were answered."""
        return sum(pipe.recv() for pipe in self._pipes)

    def close(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join(10)


@row(f"{USERS} users at once", unit="req/s", rounds=4, limit=False, sized=False)
def users(site: Site) -> Measurements:
    if len(site.others) < USERS:
        raise Failed(f"{len(site.others)} other users are known; {USERS} are needed")
    jobs = []
    for url in site.others[:USERS]:
        account = Account(url)
        account.connect()
        jobs.append((account.url, mixture(account)))
        account.close()
    crowd = Crowd(jobs)
    try:
        while True:
            begin = time.monotonic()
            crowd.begin(SECONDS)
            yield crowd.end() / (time.monotonic() - begin)
    finally:
        crowd.close()


def beside(name: str, heavy: Callable[[Site, int], list[Call]]) -> None:
    @row(f"echo p99, {name}", rounds=3, limit=False)
    def run(site: Site) -> Measurements:
        """The 99th percentile of a light request while others have much to do."""
        requests = [
            octets(site.account, heavy(site, random.randrange(1 << 30))) for _ in range(200)
        ]
        jobs = [(site.account.url, requests[i::HEAVY]) for i in range(HEAVY)]
        crowd = Crowd(jobs)
        try:
            while True:
                crowd.begin(SECONDS)
                times: list[float] = []
                stop = time.monotonic() + SECONDS
                while time.monotonic() < stop and len(times) < LIGHT:
                    site.account.call("Core/echo", hello="world")
                    times.append(site.account.seconds)
                    time.sleep(0.003)
                crowd.end()
                yield statistics.quantiles(times, n=100)[98]
        finally:
            crowd.close()


# No two of them are the same, so that no answer can be kept
def searches(_: Site, salt: int) -> list[Call]:
    condition = {"text": COMMON, "minSize": salt % 1000}
    return [
        (
            "Email/query",
            {"filter": condition, "sort": NEWEST, "limit": PAGE, "calculateTotal": True},
        )
    ]


def sorts(site: Site, salt: int) -> list[Call]:
    condition = {"inMailbox": site.inbox, "minSize": salt % 1000}
    sort = [{"property": "subject", "isAscending": True}]
    return [
        ("Email/query", {"filter": condition, "sort": sort, "limit": PAGE, "calculateTotal": True})
    ]


beside("3 searching", searches)
beside("3 sorting", sorts)

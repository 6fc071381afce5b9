"""Whom an address reaches and where the message goes, from the socket to JMAP."""

import json
import smtplib
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from mailhive.testing.process import DaemonProcess, free_port

PRINCIPALS = [
    {"name": "carol", "secret": "carol", "email": ["carol@example.org", "c.smith@example.org"]},
    {"name": "dora", "secret": "dora", "email": ["dora@example.org", "@catch.example"]},
    {"name": "team", "type": "group", "email": ["team@example.org"]},
    {"name": "all", "type": "list", "email": ["all@example.org"]},
    {"name": "eve", "secret": "eve", "email": ["eve@example.org"], "member-of": ["all", "team"]},
    {"name": "fred", "secret": "fred", "email": ["fred@example.org"], "member-of": ["all"]},
]
NUMBERS = count()
RULES = """
[delivery]
subaddress-mailboxes = true
junk-fields = "X-Spam-Flag: YES"
keyword-fields = "X-Keywords"
[delivery.keyword."$ismailinglist"]
fields = "List-Id: *"
anyone = true
"""


class Relays:
    """Hand messages over by SMTP, or by LMTP behind a filter, and see where they are."""

    def __init__(self, daemon: DaemonProcess, lmtp: int, jmap: Callable[..., Any]) -> None:
        self.daemon = daemon
        self._lmtp = lmtp
        self._jmap = jmap

    def send(self, *to: str, header: str = "", filtered: bool = False) -> str:
        """Send a message; its subject."""
        subject = f"rule{next(NUMBERS):03}"
        ends = smtplib.LMTP if filtered else smtplib.SMTP
        port = self._lmtp if filtered else self.daemon.smtp_port
        with ends("127.0.0.1", port) as client:
            text = f"From: x@example.net\r\nSubject: {subject}\r\n{header}\r\nHi\r\n"
            assert client.sendmail("x@example.net", list(to), text) == {}
        return subject

    def client(self, user: str) -> Any:
        return self._jmap(self.daemon, user)

    def found(self, user: str, subject: str) -> list[tuple[set[str], set[str]]]:
        """The names of the mailboxes, and the keywords, of messages of that subject."""
        client = self.client(user)
        names = {box["id"]: box["name"] for box in client.call("Mailbox/get")["list"]}
        ids = client.call("Email/query", filter={"subject": subject})["ids"]
        emails = client.call("Email/get", ids=ids, properties=["mailboxIds", "keywords"])["list"]
        return [({names[b] for b in e["mailboxIds"]}, set(e["keywords"])) for e in emails]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, int]]:
    lmtp = free_port()
    tables = []
    for principal in PRINCIPALS:
        lines = [f"{key} = {json.dumps(value)}" for key, value in principal.items()]
        tables.append("\n".join(['[[directory."memory".principals]]', *lines]))
    listener = f"""
[server.listener."lmtp"]
bind = "127.0.0.1:{lmtp}"
protocol = "lmtp"
filtered = true
"""
    extra = "\n".join([*tables, listener, RULES])
    directory = tmp_path_factory.mktemp("rules")
    with DaemonProcess(directory, users={"alice": "alice"}, extra=extra) as started:
        started.users = {"alice": "alice"} | {p["name"]: p["name"] for p in PRINCIPALS}  # type: ignore[misc]
        yield started, lmtp


@pytest.fixture
def relays(daemon: tuple[DaemonProcess, int], jmap: Callable[..., Any]) -> Relays:
    return Relays(*daemon, jmap)


INBOX = [({"Inbox"}, set[str]())]


def test_aliases_and_catch_all(relays: Relays) -> None:
    assert relays.found("carol", relays.send("C.Smith@example.org")) == INBOX
    assert relays.found("dora", relays.send("whoever@catch.example")) == INBOX
    both = relays.send("carol@example.org", "c.smith@example.org", "carol+x@example.org")
    assert relays.found("carol", both) == INBOX


def test_lists_and_groups(relays: Relays) -> None:
    subject = relays.send("all@example.org", "eve@example.org")
    assert relays.found("eve", subject) == relays.found("fred", subject) == INBOX
    assert relays.found("alice", subject) == []
    subject = relays.send("team@example.org")
    assert relays.found("eve", subject) == []  # it is in the account of the group
    account = next(
        key for key, a in relays.client("eve").session["accounts"].items() if not a["isPersonal"]
    )
    assert relays.client("eve").call("Email/query", accountId=account, filter={"subject": subject})[
        "ids"
    ]


def test_subaddresses(relays: Relays) -> None:
    client = relays.client("alice")
    made = client.call("Mailbox/set", create={"l": {"name": "Lists"}, "w": {"name": "Work"}})
    parent = made["created"]["l"]["id"]
    client.call("Mailbox/set", create={"p": {"name": "Python", "parentId": parent}})
    for detail, boxes in {
        "work": {"Work"},
        "lists.python": {"Python"},
        "WORK": {"Work"},
        "sent": {"Inbox"},
        "none": {"Inbox"},
    }.items():
        assert relays.found("alice", relays.send(f"alice+{detail}@example.org")) == [(boxes, set())]
    several = relays.send("alice+work@example.org", "alice@example.org", "alice+lists@example.org")
    assert relays.found("alice", several) == [({"Work", "Inbox", "Lists"}, set())]
    junk = relays.send("alice+work@example.org", header="X-Spam-Flag: YES\r\n", filtered=True)
    assert relays.found("alice", junk) == [({"Junk"}, {"$junk"})]
    assert relays.found("fred", relays.send("all+work@example.org")) == INBOX


def test_what_a_filter_says(relays: Relays) -> None:
    header = "X-Spam-Flag: Yes\r\nX-Keywords: Blue, $notjunk\r\nList-Id: <a.example>\r\n"
    listed = {"$ismailinglist"}
    subject = relays.send("alice@example.org", header=header, filtered=True)
    assert relays.found("alice", subject) == [({"Junk"}, {"$junk", "blue", "$notjunk", *listed})]
    subject = relays.send("alice@example.org", header=header)
    assert relays.found("alice", subject) == [({"Inbox"}, listed)]

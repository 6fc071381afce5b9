"""What was acknowledged outlives kill -9.

A daemon is killed again and again while mail comes in by SMTP and by
Email/import and keywords are changed.  MAILHIVE_CRASH_ROUNDS says how often; a
few times by default, a few hundred times for a long run:

    MAILHIVE_CRASH_ROUNDS=300 pytest -s tests/wire/test_crash.py
"""

import http.client
import os
import random
import re
import shutil
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define

from mailhive.sqlite.connection import Connection
from mailhive.store.check import problems
from mailhive.testing.process import DaemonProcess

ROUNDS = int(os.environ.get("MAILHIVE_CRASH_ROUNDS", "3"))
SENDERS = 3
PAGE = 500
TRACE = re.compile(rb"(?:(?:Return-Path|Received):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+")
USERS = ("alice", "bob")
KEYWORDS = ("$flagged", "$seen", "crash")
#: The daemon is gone, or going.
GONE = (OSError, smtplib.SMTPException, http.client.HTTPException)


@define
class Ledger:
    """What the daemon has promised, and what it may or may not have done."""

    sent: dict[str, bytes] = Factory(dict)
    acknowledged: dict[str, set[str]] = Factory(lambda: {user: set() for user in USERS})
    keywords: dict[tuple[str, str], bool] = Factory(dict)  # (email id, keyword)
    doubtful: set[tuple[str, str]] = Factory(set)
    lock: threading.Lock = Factory(threading.Lock)

    def compose(self, rng: random.Random) -> tuple[str, bytes]:
        """A message that has not been sent before, and the token in its subject."""
        with self.lock:
            token = f"t{len(self.sent)}x{rng.getrandbits(32):x}"
            body = b".a line that begins with a dot\r\n..two\r\n" + b"".join(
                bytes(rng.choices(range(0x20, 0xFF), k=rng.randint(0, 200))) + b"\r\n"
                for _ in range(rng.choice((1, 10, 200)))
            )
            self.sent[token] = (
                f"From: load@example.net\r\nTo: alice@example.org\r\nSubject: {token}\r\n"
                f"Message-ID: <{token}@example.net>\r\nMIME-Version: 1.0\r\n"
                "Content-Type: text/plain; charset=iso-8859-1\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\n"
            ).encode() + body
            return token, self.sent[token]


@define
class Load:
    """Threads that keep a daemon busy until it is killed."""

    server: DaemonProcess
    ledger: Ledger
    connect: Callable
    rng: random.Random
    _threads: list[threading.Thread] = Factory(list)
    _errors: list[BaseException] = Factory(list)
    _killed: threading.Event = Factory(threading.Event)

    def start(self) -> None:
        for work in (*[self._send] * SENDERS, self._import, self._flag):
            thread = threading.Thread(
                target=self._run, args=(work, random.Random(self.rng.getrandbits(64)))
            )
            self._threads.append(thread)
            thread.start()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, or has gone wrong."""
        while not condition() and not self._errors:
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the daemon in the middle of it, and wait for the threads to notice."""
        self._killed.set()
        self.server.kill()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, work: Callable[[random.Random], None], rng: random.Random) -> None:
        try:
            work(rng)
        except GONE as error:
            if not self._killed.is_set():
                self._errors.append(error)
        except BaseException as error:
            self._errors.append(error)

    def _send(self, rng: random.Random) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.smtp_port, timeout=100) as client:
            while True:
                token, message = self.ledger.compose(rng)
                client.sendmail(
                    "load@example.net",
                    [f"{user}@example.org" for user in USERS],
                    message,
                    ["body=8bitmime"],
                )
                for user in USERS:
                    self.ledger.acknowledged[user].add(token)

    def _import(self, rng: random.Random) -> None:
        client = self.connect(self.server)
        inbox = client.inbox
        while True:
            token, message = self.ledger.compose(rng)
            emails = {"i": {"blobId": client.upload(message), "mailboxIds": {inbox: True}}}
            assert client.call("Email/import", emails=emails)["created"]["i"]
            self.ledger.acknowledged["alice"].add(token)

    def _flag(self, rng: random.Random) -> None:
        client = self.connect(self.server)
        while True:
            ids = client.call("Email/query", limit=50, position=rng.choice((0, 0, 20)))["ids"]
            chosen = rng.sample(ids, min(len(ids), 5))
            changes = {(i, rng.choice(KEYWORDS)): rng.random() < 0.7 for i in chosen}
            self.ledger.doubtful.update(changes)
            answer = client.call(
                "Email/set",
                update={i: {f"keywords/{k}": on or None} for (i, k), on in changes.items()},
            )
            assert set(answer["updated"] or {}) == set(chosen)
            self.ledger.keywords.update(changes)
            self.ledger.doubtful.difference_update(changes)


def all_emails(client: Any) -> list[dict]:
    """Id, blob, subject and keywords of every message of the account."""
    emails: list[dict] = []
    while True:
        query = client.call("Email/query", position=len(emails), limit=PAGE, calculateTotal=True)
        if not query["ids"]:
            assert query["total"] == len(emails)
            return emails
        got = client.call(
            "Email/get", ids=query["ids"], properties=["blobId", "subject", "keywords", "threadId"]
        )
        assert got["notFound"] == []
        emails += got["list"]


def check_messages(
    client: Any, ledger: Ledger, acknowledged: set[str], emails: list[dict], checked: set[str]
) -> None:
    """Every acknowledged message is there once, and octet for octet, below its trace headers."""
    there = Counter(email["subject"] for email in emails)
    assert set(there) <= set(ledger.sent)
    assert acknowledged <= set(there)
    assert set(there.values()) <= {1}
    for email in emails:
        token = email["subject"]
        if token not in checked:
            octets = client.download(email["blobId"])
            assert octets.endswith(ledger.sent[token])
            trace = octets.removesuffix(ledger.sent[token])
            assert trace == b"" or TRACE.fullmatch(trace)
            checked.add(token)


def check_keywords(ledger: Ledger, emails: list[dict]) -> None:
    """Every acknowledged change of a keyword is in force; the doubtful ones are settled."""
    for email in emails:
        for keyword in KEYWORDS:
            key, there = (email["id"], keyword), keyword in email["keywords"]
            if key in ledger.doubtful:
                ledger.keywords[key] = there
            assert ledger.keywords.get(key, False) == there, key
    ledger.doubtful.clear()


def check_counts(client: Any, emails: list[dict]) -> None:
    """The counters of the inbox, counted three ways."""
    (inbox,) = client.call("Mailbox/get", ids=[client.inbox])["list"]

    def total(collapse: bool = False, **condition: object) -> int:
        return client.call(
            "Email/query",
            filter={"inMailbox": inbox["id"], **condition},
            collapseThreads=collapse,
            limit=1,
            calculateTotal=True,
        )["total"]

    unread = [e for e in emails if "$seen" not in e["keywords"]]
    assert inbox["totalEmails"] == total() == len(emails)
    assert inbox["unreadEmails"] == total(notKeyword="$seen") == len(unread)
    assert inbox["totalThreads"] == total(collapse=True) == len({e["threadId"] for e in emails})
    assert inbox["unreadThreads"] == len({e["threadId"] for e in unread})


def check_databases(server: DaemonProcess, place: Path, ledger: Ledger) -> None:
    """The databases as the kill left them, in a copy: consistent without the daemon's help."""
    shutil.copytree(server.data / "accounts", place)
    databases = list(place.rglob("*.sqlite"))
    assert databases or not any(ledger.acknowledged.values())
    for path in databases:
        connection = Connection(path)
        if connection.value("PRAGMA user_version"):  # else killed while it was made
            assert problems(connection) == [], path
        connection.close()
    shutil.rmtree(place)


@pytest.mark.timeout(300 + 60 * ROUNDS)
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_acknowledged_is_lost(tmp_path: Path, jmap: Callable, workers: int) -> None:
    rng = random.Random(20260801)
    server, ledger = DaemonProcess(tmp_path, workers=workers), Ledger()
    server.start()
    begin = time.monotonic()
    try:
        checked: dict[str, set[str]] = {user: set() for user in USERS}
        for turn in range(ROUNDS):
            load = Load(server, ledger, jmap, rng)
            load.start()
            time.sleep(rng.choice((0.02, 0.2, 0.5, 1.5)) * rng.uniform(0.5, 1))
            if turn == ROUNDS - 1:
                load.wait(lambda: all(ledger.acknowledged.values()))
            load.kill()
            check_databases(server, tmp_path / "copy", ledger)
            server.start()
            if turn == ROUNDS - 1:
                checked = {user: set() for user in USERS}  # all of them once more
            for user in USERS:
                client = jmap(server, user)
                emails = all_emails(client)
                acknowledged = ledger.acknowledged[user]
                check_messages(client, ledger, acknowledged, emails, checked[user])
                if user == "alice":
                    check_keywords(ledger, emails)
                check_counts(client, emails)
                print(
                    f"kill {turn + 1}, {user}: {len(acknowledged)} of {len(ledger.sent)} messages "
                    f"acknowledged, {len(emails)} there, {len(ledger.keywords)} keywords",
                    flush=True,
                )
        server.stop()
        check_databases(server, tmp_path / "copy", ledger)
    finally:
        server.kill()
    assert all(ledger.acknowledged.values())
    assert "Traceback" not in server.log()
    print(f"{ROUNDS} kills in {time.monotonic() - begin:.0f} s")

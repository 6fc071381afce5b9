"""Clients that come back after kill -9 learn what has changed since they were there.

A daemon is killed again and again in the midst of deliveries and changes of all kinds.
Meanwhile clients look at objects and at results of queries; after each kill they replay
/changes and /queryChanges from what they knew, whenever that was (RFC 8620 §5.2, §5.6).
MAILHIVE_CRASH_ROUNDS says how often:

    MAILHIVE_CRASH_ROUNDS=100 pytest -s tests/wire/test_replay_crash.py
"""

import os
import random
import smtplib
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, evolve

from mailhive.jmap.registry import Registry
from mailhive.testing.process import DaemonProcess
from mailhive.testing.queries import KEYWORDS, QUERIES, Subjects
from mailhive.testing.replay import KnownObjects, KnownResults

ROUNDS = int(os.environ.get("MAILHIVE_CRASH_ROUNDS", "3"))
USERS = ("alice", "bob")
TYPES = sorted(n.partition("/")[0] for n in Registry.load().methods if n.endswith("/changes"))
EXTRA = "[jmap.limits]\nget = 100000\nconcurrent-requests = 20\n"
#: What one user knows at most of each kind; the oldest of it stays, the rest is renewed.
MEMORY = 12
#: The daemon is gone, or going.
GONE = (OSError, smtplib.SMTPException, HTTPException)


@define
class Memory:
    """What the clients of a user know, some of it from long ago."""

    objects: list[KnownObjects] = Factory(list)
    results: list[KnownResults] = Factory(list)

    def look(self, call: Callable[..., Any], rng: random.Random) -> None:
        """At something or other, as it is now."""
        keep(self.objects, KnownObjects.fetch(call, rng.choice(TYPES)), rng)
        type_name = rng.choice(sorted(QUERIES))
        ids = {name: all_ids(call, name) for name in ("Mailbox", "Identity")}
        usual = QUERIES[type_name].usual(Subjects(ids["Mailbox"], (), ids["Identity"]))
        limit = rng.choice((None, 3))
        keep(self.results, KnownResults.fetch(call, type_name, rng.choice(usual), limit), rng)

    def step(self, call: Callable[..., Any], rng: random.Random) -> None:
        """Something that is known is brought up to date, or a little further."""
        if self.objects:
            known = evolve(rng.choice(self.objects))
            known.update(call, rng.choice((None, 1, 5)))
            keep(self.objects, known, rng)
        if self.results:
            known_results = rng.choice(self.results).updated(call, up_to=rng.random() < 0.5)
            keep(self.results, known_results, rng)

    def check(self, call: Callable[..., Any], rng: random.Random) -> None:
        """All that is known leads to the present; it is kept as it was known."""
        for known in self.objects:
            evolve(known).check(call, rng.choice((None, 7)))
        for results in self.results:
            results.check(call, up_to=rng.random() < 0.3)


def keep(memory: list[Any], known: Any, rng: random.Random) -> None:
    if len(memory) == MEMORY:
        memory.pop(rng.randrange(MEMORY // 2, MEMORY))
    memory.append(known)


def all_ids(call: Callable[..., Any], type_name: str) -> list[str]:
    return [one["id"] for one in call(f"{type_name}/get", ids=None, properties=["id"])["list"]]


def some(call: Callable[..., Any], type_name: str, rng: random.Random) -> list[str]:
    """Up to three ids, but never the first, which is to stay."""
    ids = all_ids(call, type_name)[1:]
    return rng.sample(ids, min(len(ids), rng.randint(1, 3)))


def do_something(call: Callable[..., Any], user: str, rng: random.Random) -> None:
    """One change of an account; some are refused."""
    mailboxes = all_ids(call, "Mailbox")
    identity = all_ids(call, "Identity")[0]
    email = {
        "mailboxIds": {rng.choice(mailboxes): True},
        "keywords": {rng.choice(KEYWORDS): True},
        "from": [{"email": f"{user}@example.org"}],
        "to": [{"email": rng.choice(("alice@example.org", "zoe@far.example"))}],
        "subject": rng.choice(("lunch", "plans 10")),
    }
    match rng.randrange(9):
        case 0:
            create = {"m": {"name": f"m{rng.random()}", "parentId": rng.choice(mailboxes)}}
            call("Mailbox/set", create=create)
        case 1:
            call("Mailbox/set", destroy=mailboxes[-1:], onDestroyRemoveEmails=True)
        case 2:
            update = {i: {"sortOrder": rng.randrange(9)} for i in some(call, "Mailbox", rng)}
            call("Mailbox/set", update=update)
        case 3:
            create = {"i": {"name": "new", "email": f"{user}@example.org"}}
            call("Identity/set", create=create, update={identity: {"name": f"{rng.random()}"}})
        case 4:
            call("Identity/set", destroy=some(call, "Identity", rng))
        case 5:
            update = {
                i: rng.choice(
                    (
                        {"keywords": {rng.choice(KEYWORDS): True}},
                        {"mailboxIds": {rng.choice(mailboxes): True}},
                    )
                )
                for i in some(call, "Email", rng)
            }
            call("Email/set", update=update)
        case 6:
            call("Email/set", destroy=some(call, "Email", rng))
        case 7:
            ids = some(call, "EmailSubmission", rng)
            call("EmailSubmission/set", update={i: {"undoStatus": "canceled"} for i in ids})
            call("EmailSubmission/set", destroy=ids[:1])
        case _:
            made = call("Email/set", create={"e": email})["created"]
            if made:  # the mailbox may be gone
                submission = {"emailId": made["e"]["id"], "identityId": identity}
                call("EmailSubmission/set", create={"s": submission})


def deliver(server: DaemonProcess, rng: random.Random) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100) as client:
        number, parent = rng.randrange(40), rng.randrange(3)
        message = (
            f"From: {rng.choice(('ann', 'Bob'))}@far.example\r\nSubject: lunch\r\n"
            f"Message-ID: <{number}@x>\r\nReferences: <{parent}@x>\r\n\r\n{'x' * 20 * number}\r\n"
        )
        to = rng.sample(USERS, rng.randint(1, 2))
        client.sendmail("ann@far.example", [f"{user}@example.org" for user in to], message)


@define
class Load:
    """Threads that keep the daemon busy until it is killed."""

    server: DaemonProcess
    _threads: list[threading.Thread] = Factory(list)
    _errors: list[BaseException] = Factory(list)
    _killed: threading.Event = Factory(threading.Event)

    def start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=self._run, args=(work, *arguments))
        self._threads.append(thread)
        thread.start()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            while not self._killed.is_set():
                work(*arguments)
        except GONE as error:
            if not self._killed.is_set():
                self._errors.append(error)
        except BaseException as error:
            self._errors.append(error)

    def kill(self) -> None:
        self._killed.set()
        self.server.kill()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]


@pytest.mark.timeout(300 + 60 * ROUNDS)
def test_clients_that_come_back_after_a_kill_learn_what_has_changed(
    tmp_path: Path, jmap: Callable
) -> None:
    rng = random.Random(20261121)
    server = DaemonProcess(tmp_path, extra=EXTRA)
    memories = {user: Memory() for user in USERS}
    server.start()
    try:
        for turn in range(ROUNDS):
            load = Load(server)
            for user, memory in memories.items():
                its = [random.Random(rng.getrandbits(64)) for _ in range(3)]
                client = jmap(server, user)
                memory.look(client.call, rng)
                load.start(do_something, jmap(server, user).call, user, its[0])
                load.start(memory.look, client.call, its[1])
                load.start(memory.step, jmap(server, user).ask, its[2])
            load.start(deliver, server, random.Random(rng.getrandbits(64)))
            time.sleep(rng.choice((0.1, 0.5, 1.5)) * rng.uniform(0.5, 1))
            load.kill()
            server.start()
            for user, memory in memories.items():
                memory.check(jmap(server, user).ask, rng)
            known = sum(len(m.objects) + len(m.results) for m in memories.values())
            print(f"kill {turn + 1}: {known} things known, all led to the present", flush=True)
        server.stop()
    finally:
        server.kill()
    assert "Traceback" not in server.log()

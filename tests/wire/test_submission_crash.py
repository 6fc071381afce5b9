"""A message that was accepted outlives kill -9: each recipient gets it, at least once.

Mail comes in as EmailSubmissions and through the submission listener, and goes to a user
here and to a mail server elsewhere, while the daemon is killed again and again.  Whatever
anybody got twice is explained by what the outbox has on disk after a kill: that the
recipient has it was not noted there yet.

MAILHIVE_CRASH_ROUNDS says how often the daemon is killed, a few times by default:

    MAILHIVE_CRASH_ROUNDS=200 pytest -s tests/wire/test_submission_crash.py
"""

import http.client
import json
import os
import random
import re
import shutil
import smtplib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from attrs import Factory, define

from mailhive.sqlite.connection import Connection
from mailhive.testing.process import DaemonProcess, free_port

ROUNDS = int(os.environ.get("MAILHIVE_CRASH_ROUNDS", "3"))
GONE = (OSError, smtplib.SMTPException, http.client.HTTPException)
USING = [f"urn:ietf:params:jmap:{name}" for name in ("core", "mail", "submission")]
BOB, ZOE = "bob@example.org", "zoe@far.example"
TRANSACTION = re.compile(r" id (\w+);")
SUBJECT = re.compile(r"^Subject: (\S+)", re.MULTILINE)

Copy = tuple[str, str]  # a message and a recipient


@define(eq=False)
class FarServer:
    """Another implementation's server, and in which life of the daemon it took what."""

    life: int = 0
    taken: list[tuple[str, Copy, int]] = Factory(list)  # token, copy, life

    async def handle_EHLO(
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name, session.life = hostname, self.life
        return responses

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        text = envelope.content.decode()
        transaction, token = TRANSACTION.search(text), SUBJECT.search(text)
        assert transaction and token
        for address in envelope.rcpt_tos:
            self.taken.append((token[1], (transaction[1], address), session.life))
        return "250 2.0.0 Taken"


@pytest.fixture
def far() -> Iterator[tuple[FarServer, int]]:
    server = FarServer()
    controller = Controller(server, hostname="127.0.0.1", port=free_port(), ready_timeout=100)
    controller.start()
    yield server, controller.port
    controller.stop()


@define(eq=False)
class Load:
    """Who sends; `accepted` are the tokens that were acknowledged, with the ids they got."""

    server: DaemonProcess
    submission_port: int
    connect: Callable[..., Any]
    accepted: dict[str, str] = Factory(dict)
    tried: set[str] = Factory(set)
    errors: list[BaseException] = Factory(list)

    def new(self, number: int) -> str:
        token = f"r{number}x{len(self.tried)}x{threading.get_ident()}"
        self.tried.add(token)
        return token

    def run(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except GONE:
            pass
        except BaseException as error:
            self.errors.append(error)

    def by_jmap(self, number: int) -> None:
        client = self.connect(self.server)
        account = {"accountId": client.account_id}
        identity = client.call("Identity/get")["list"][0]["id"]
        mailboxes = client.call("Mailbox/get")["list"]
        drafts = next(m["id"] for m in mailboxes if m["role"] == "drafts")
        while True:
            token = self.new(number)
            draft = {
                "mailboxIds": {drafts: True},
                "from": [{"email": "alice@example.org"}],
                "to": [{"email": BOB}, {"email": ZOE}],
                "subject": token,
                "bodyStructure": {"partId": "1", "type": "text/plain"},
                "bodyValues": {"1": {"value": token}},
            }
            create = {"s": {"identityId": identity, "emailId": "#d"}}
            sent = {"#s": {"keywords/sent": True}}
            calls = [
                ["Email/set", {**account, "create": {"d": draft}}, "0"],
                [
                    "EmailSubmission/set",
                    {**account, "create": create, "onSuccessUpdateEmail": sent},
                    "1",
                ],
            ]
            body = json.dumps({"using": USING, "methodCalls": calls}).encode()
            status, answer = client.post(body)
            assert status == 200, answer
            self.accepted[token] = answer["methodResponses"][1][1]["created"]["s"]["id"]

    def by_smtp(self, number: int) -> None:
        with smtplib.SMTP("127.0.0.1", self.submission_port, timeout=100) as smtp:
            smtp.login("alice", self.server.users["alice"])
            while True:
                token = self.new(number)
                smtp.mail("alice@example.org")
                for recipient in (BOB, ZOE):
                    smtp.rcpt(recipient)
                text = f"From: alice@example.org\r\nSubject: {token}\r\n\r\n{token}\r\n"
                code, reply = smtp.data(text)
                assert code == 250, reply
                self.accepted[token] = reply.decode().rpartition(" ")[2]


def unnoted(server: DaemonProcess, place: Path) -> set[Copy]:
    """Of whom the outbox, as a kill left it, does not know that they have a message."""
    place.mkdir()
    for file in server.data.glob("outbox.sqlite*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, place)
    connection = Connection(place / "outbox.sqlite")
    rows = connection.all("SELECT message, address FROM recipient WHERE delivered = 'queued'")
    connection.close()
    shutil.rmtree(place)
    return {(message, address) for message, address in rows}


def bobs(client: Any) -> list[tuple[str, Copy]]:
    """Token and copy of everything that bob has."""
    found: list[tuple[str, Copy]] = []
    header = "header:Received"
    while ids := client.call("Email/query", position=len(found), limit=200)["ids"]:
        emails = client.call("Email/get", ids=ids, properties=["subject", header])["list"]
        for email in emails:
            transaction = TRANSACTION.search(email[header])
            assert transaction
            found.append((email["subject"], (transaction[1], BOB)))
    return found


@pytest.mark.timeout(300 + 60 * ROUNDS)
def test_everybody_gets_what_was_accepted(
    tmp_path: Path, jmap: Callable[..., Any], far: tuple[FarServer, int]
) -> None:
    rng, begin = random.Random(8621), time.monotonic()
    peer, peer_port = far
    port = free_port()
    extra = f"""
[relay.route."far.example"]
host = "127.0.0.1"
port = {peer_port}
tls = "none"

[server.listener."submission"]
bind = "127.0.0.1:{port}"
protocol = "submission"
auth-in-clear = true
"""
    server = DaemonProcess(tmp_path, keys={"relay": ""}, extra=extra)
    load = Load(server, port, jmap)
    left: list[set[Copy]] = []  # by life: what was not noted when it was killed
    try:
        for number in range(ROUNDS):
            peer.life = number
            server.start()
            before = len(load.accepted)
            threads = [
                threading.Thread(target=load.run, args=(work, number))
                for work in (load.by_jmap, load.by_smtp, load.by_smtp)
            ]
            for thread in threads:
                thread.start()
            while len(load.accepted) < before + 6 and not load.errors:
                time.sleep(0.002)
            time.sleep(rng.choice((0.01, 0.1, 0.5)) * rng.random())
            server.kill()
            for thread in threads:
                thread.join()
            assert not load.errors
            left.append(unnoted(server, tmp_path / "copy"))

        peer.life = ROUNDS
        with server:
            alice = jmap(server)
            while json.loads(server.command("queue", "list", "--json").stdout):
                time.sleep(0.05)
            statuses = [
                submission["deliveryStatus"]
                for submission in submissions(alice, set(load.accepted.values()))
            ]
            got = bobs(jmap(server, "bob"))
    finally:
        server.kill()
    assert {status[BOB]["delivered"] for status in statuses} == {"yes"}
    assert {status[ZOE]["delivered"] for status in statuses} == {"unknown"}
    assert {status[ZOE]["smtpReply"] for status in statuses} == {"250 2.0.0 Taken"}
    assert load.accepted.keys() <= {token for token, _ in got} <= load.tried
    assert load.accepted.keys() <= {token for token, _, _ in peer.taken} <= load.tried

    # Each copy but the last was handed over in a life that could not note it any more.
    lives: dict[Copy, list[int]] = defaultdict(list)
    for _, copy, life in peer.taken:
        lives[copy].append(life)
    for copy, taken in lives.items():
        assert all(copy in left[life] for life in taken[:-1]), (copy, taken)
    for copy, count in Counter(copy for _, copy in got).items():
        assert sum(copy in copies for copies in left) >= count - 1, (copy, count)
    again = len(peer.taken) - len(lives), len(got) - len({copy for _, copy in got})
    print(
        f"{ROUNDS} kills in {time.monotonic() - begin:.0f} s: {len(load.accepted)} of "
        f"{len(load.tried)} messages acknowledged; the far server took {len(peer.taken)} copies "
        f"of {len(lives)} messages, {again[0]} more than once, bob has {len(got)}, {again[1]} "
        f"more than once; {sum(map(len, left))} deliveries were not noted when it was killed"
    )


def submissions(client: Any, ids: set[str]) -> Iterator[dict[str, Any]]:
    """Those of all ids that are of an EmailSubmission."""
    wanted = sorted(i for i in ids if i.startswith("S"))
    for start in range(0, len(wanted), 200):
        page = client.call("EmailSubmission/get", ids=wanted[start : start + 200])
        assert page["notFound"] == []
        yield from page["list"]

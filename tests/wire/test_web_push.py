"""Web Push from a daemon that is killed, to a push service that fails.

MAILHIVE_CRASH_ROUNDS says how often it is killed, a few times by default.
"""

import http.client
import json
import os
import random
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from mailhive.push.ledger import FILE, Entry, open_ledger
from mailhive.sqlite.connection import Connection
from mailhive.testing.certificates import make_certificate
from mailhive.testing.process import DaemonProcess
from mailhive.testing.web_push import HANG, Answer, PushService, Subscriber, check_vapid

ROUNDS = int(os.environ.get("MAILHIVE_CRASH_ROUNDS", "3"))
GONE = (OSError, http.client.HTTPException)
VAPID = "urn:ietf:params:jmap:webpush-vapid"
PEM = make_certificate("localhost")
EXTRA = """
[jmap.web-push]
allow = ["127.0.0.0/8", "::1"]
retry = "1s"
throttle = "0s"
timeout = "{}"
"""
#: A push that is answered in this time is told once, on a busy machine too.
PATIENT, HASTY = EXTRA.format("8s"), EXTRA.format("1s")


@pytest_twisted.async_yield_fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PushService]:
    """A push service whose certificate is what daemons trust."""
    path = tmp_path / "root.pem"
    path.write_bytes(PEM.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    listening = PushService.listen(reactor, PEM)
    yield listening
    await listening.stop()


def deliver(server: DaemonProcess, subject: str) -> None:
    message = f"Subject: {subject}\r\n\r\nbody\r\n"
    with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
        smtp.sendmail("bob@example.org", "alice@example.org", message)


def states(client: Any) -> dict[str, str]:
    return {t: client.call(f"{t}/get", ids=[])["state"] for t in ("Email", "Mailbox", "Thread")}


def listed(server: DaemonProcess) -> Any:
    """What `mailhive push list` shows."""
    command = Path(sys.executable).with_name("mailhive")
    config = server.directory / "mailhive.toml"
    ran = subprocess.run([command, "push", "list", "--json", "-c", config], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def entries(server: DaemonProcess) -> list[Entry]:
    """The same, from the file."""
    connection = Connection(server.data / FILE)
    try:
        return open_ledger(connection).entries()
    finally:
        connection.close()


async def until(condition: Callable[[], Any], patience: float = 120.0) -> None:
    deadline = reactor.seconds() + patience  # type: ignore[attr-defined]
    while not await deferToThread(condition):
        assert reactor.seconds() < deadline, "it does not happen"  # type: ignore[attr-defined]
        await deferLater(reactor, 0.05)


async def subscribe(client: Any, service: PushService, phone: Subscriber) -> str:
    wanted = {"deviceClientId": "phone", "url": service.url("secret-path"), "keys": phone.keys}
    set_ = await deferToThread(client.call, "PushSubscription/set", create={"p": wanted})
    subscription_id: str = set_["created"]["p"]["id"]
    push = await service.next()
    code = {"verificationCode": phone.read(push.headers, push.body)["verificationCode"]}
    set_ = await deferToThread(client.call, "PushSubscription/set", update={subscription_id: code})
    assert set_["updated"] == {subscription_id: None}
    return subscription_id


@pytest_twisted.ensureDeferred
async def test_every_failure_in_turn_and_a_crash(
    tmp_path: Path, service: PushService, jmap: Callable[..., Any]
) -> None:
    server, phone = DaemonProcess(tmp_path, extra=PATIENT), Subscriber()
    try:
        await deferToThread(server.start)
        client = await deferToThread(jmap, server)
        await subscribe(client, service, phone)
        service.script = [Answer(500), Answer(429, {"Retry-After": "2"}), HANG, Answer(), HANG]
        await deferToThread(deliver, server, "one")
        await service.next()
        refused = await service.next()
        await until(lambda: entries(server)[0].outcome == "429")
        # It is killed while it waits, and waits on afterwards.
        server.kill()
        [shown] = await deferToThread(listed, server)
        assert (shown["user"], shown["host"], shown["failures"]) == ("alice", "localhost", 2)
        assert shown["next-try"]
        await deferToThread(server.start)
        push = await service.next()
        assert push.at - refused.at >= 2
        await until(lambda: "no answer" in str(entries(server)[0].outcome))
        push = await service.next()
        client = await deferToThread(jmap, server)
        told = phone.read(push.headers, push.body)["changed"][client.account_id]
        assert told.items() >= (await deferToThread(states, client)).items()
        key = client.session["capabilities"][VAPID]["applicationServerKey"]
        assert check_vapid(push.headers["authorization"], key)
        # What was accepted, but not told, when it is killed is told when it is back.
        await until(lambda: entries(server)[0].failures == 0)
        await deferToThread(deliver, server, "two")
        await service.next()
        server.kill()
        service.script = [Answer(), Answer(410)]
        await deferToThread(server.start)
        push = await service.next()
        client = await deferToThread(jmap, server)
        told = phone.read(push.headers, push.body)["changed"][client.account_id]
        assert told.items() >= (await deferToThread(states, client)).items()
        # Nobody is there any more.
        await deferToThread(deliver, server, "three")
        await service.next()
        await until(lambda: not entries(server))
        assert (await deferToThread(client.call, "PushSubscription/get"))["list"] == []
        await deferToThread(server.stop)
        assert "secret-path" not in server.log()
        assert b"secret-path" not in b"".join(p.read_bytes() for p in server.data.glob("push.*"))
    finally:
        server.kill()


@pytest_twisted.ensureDeferred
async def test_random_changes_failures_and_crashes(
    tmp_path: Path, service: PushService, jmap: Callable[..., Any]
) -> None:
    rng = random.Random(8030)
    server, phone = DaemonProcess(tmp_path, extra=HASTY), Subscriber()
    known: dict[str, dict[str, str]] = {}
    given: list[tuple[str, str]] = []

    def change(client: Any, seed: int) -> None:
        """Change things until the daemon is gone."""
        mine = random.Random(seed)
        mailbox_ids: list[str] = []
        try:
            while True:
                if mine.random() < 0.5:
                    deliver(server, "random")
                elif mailbox_ids and mine.random() < 0.5:
                    client.call("Mailbox/set", destroy=[mailbox_ids.pop()])
                else:
                    create = {"m": {"name": f"{seed} {mine.random()}"}}
                    made = client.call("Mailbox/set", create=create)
                    mailbox_ids.append(made["created"]["m"]["id"])
        except (*GONE, smtplib.SMTPException):
            return

    def seen(answer: Answer) -> None:
        """What the subscriber knows of what the push service took."""
        if 200 <= answer.status < 300:
            push = service.received[-1]
            for account_id, changed in phone.read(push.headers, push.body)["changed"].items():
                for name, state in changed.items():
                    now = known.setdefault(account_id, {}).get(name, "0")
                    assert int(state) >= int(now)
                    known[account_id][name] = state
                    given.append((name, state))

    failures = [Answer(500), Answer(429, {"Retry-After": "1"}), Answer(302), HANG]
    try:
        for number in range(ROUNDS):
            await deferToThread(server.start)
            clients = [await deferToThread(jmap, server) for _ in range(2)]
            if not number:
                await subscribe(clients[0], service, phone)
            service.answered = seen
            service.script = [rng.choice(failures), Answer(), Answer(), rng.choice(failures)]
            working: list[Deferred[None]] = [
                deferToThread(change, client, number * 2 + n) for n, client in enumerate(clients)
            ]
            await deferLater(reactor, 0.5 + rng.random() * 2)
            server.kill()
            await gatherResults(working)
        service.script = rng.choices(failures, k=2)
        await deferToThread(server.start)
        client = await deferToThread(jmap, server)
        final = await deferToThread(states, client)
        await until(lambda: known.get(client.account_id, {}).items() >= final.items())
        await deferLater(reactor, 0.5)
        assert known.keys() == {client.account_id}
        assert {t: known[client.account_id][t] for t in final} == final
        # None that never was: those between are modseqs that there have been.
        assert all(int(state) <= max(map(int, final.values())) for _, state in given)
        await deferToThread(server.stop)
    finally:
        server.kill()


@pytest_twisted.ensureDeferred
async def test_a_subscription_goes_with_the_password(
    tmp_path: Path, service: PushService, jmap: Callable[..., Any]
) -> None:
    server = DaemonProcess(tmp_path, users={}, extra=PATIENT)
    try:
        await deferToThread(server.start)
        for name in ("alice", "bob"):
            address = ("--email", f"{name}@example.org")
            added = await deferToThread(server.account, "add", name, *address, password="first")
            assert added.returncode == 0, added.stderr
        server.users = {"alice": "first", "bob": "first"}
        for name in ("alice", "bob"):
            client = await deferToThread(jmap, server, name)
            await subscribe(client, service, Subscriber())
        assert len(entries(server)) == 2
        await deferToThread(server.account, "password", "alice", password="second")
        await deferToThread(server.account, "remove", "bob")
        await deferToThread(deliver, server, "wakes hers")
        await until(lambda: "alice" not in [entry.owner for entry in entries(server)])
        assert len(service.received) == 2  # the verifications
        await deferToThread(server.stop)
    finally:
        server.kill()


@pytest_twisted.ensureDeferred
async def test_this_server_is_not_asked_for_itself(
    tmp_path: Path, jmap: Callable[..., Any]
) -> None:
    server = DaemonProcess(tmp_path)
    try:
        await deferToThread(server.start)
        client = await deferToThread(jmap, server)
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "2130706433"):
            wanted = {"deviceClientId": "d", "url": f"https://{host}:{server.http_port}/"}
            set_ = await deferToThread(client.call, "PushSubscription/set", create={"p": wanted})
            error = set_["notCreated"]["p"]
            assert (error["type"], error["properties"]) == ("invalidProperties", ["url"])
        await deferToThread(server.stop)
    finally:
        server.kill()

"""Mail that is sent later: in time and once, undone and canceled, also across kill -9."""

import email
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from mailhive.testing.process import DaemonProcess, free_port

USING = [f"urn:ietf:params:jmap:{name}" for name in ("core", "mail", "submission")]
SECONDS = 10  # a machine that is slow may take longer to look at what is still held
LONG = 3_600


def send(client: Any, seconds: int, subject: str, recipient: str) -> Any:
    """The EmailSubmission of a new draft, held for so long."""
    account = {"accountId": client.account_id}
    identity_id = client.call("Identity/get")["list"][0]["id"]
    mailboxes = client.call("Mailbox/get")["list"]
    draft = {
        "mailboxIds": {next(m["id"] for m in mailboxes if m["role"] == "drafts"): True},
        "from": [{"email": "alice@example.org"}],
        "subject": subject,
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": subject}},
    }
    submission = {
        "identityId": identity_id,
        "emailId": "#d",
        "envelope": {
            "mailFrom": {
                "email": "alice@example.org",
                "parameters": {"HOLDFOR": str(seconds)} if seconds else None,
            },
            "rcptTo": [{"email": recipient}],
        },
    }
    calls = [
        ["Email/set", {**account, "create": {"d": draft}}, "0"],
        ["EmailSubmission/set", {**account, "create": {"s": submission}}, "1"],
    ]
    status, answer = client.post(json.dumps({"using": USING, "methodCalls": calls}).encode())
    assert status == 200
    return answer["methodResponses"][1][1]["created"]["s"]


def subjects(client: Any) -> list[str]:
    ids = client.call("Email/query")["ids"]
    emails = client.call("Email/get", ids=ids, properties=["subject"])["list"]
    return [email["subject"] for email in emails]


def state_of(client: Any, submission_id: str) -> str:
    [found] = client.call("EmailSubmission/get", ids=[submission_id])["list"]
    return str(found["undoStatus"])


def is_due(submission: Any) -> bool:
    """Has it been held for as long as was wanted?"""
    return time.time() >= datetime.fromisoformat(submission["sendAt"]).timestamp()


class Far:
    """A server elsewhere, of another implementation."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.subjects.append(email.message_from_bytes(envelope.content)["Subject"])
        return "250 2.0.0 Taken"


def test_undone_in_time(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    far = Far()
    controller = Controller(far, hostname="127.0.0.1", port=free_port(), ready_timeout=100)
    route = f'[relay.route."far.example"]\nhost = "127.0.0.1"\nport = {controller.port}\n'
    server = DaemonProcess(
        tmp_path,
        keys={"jmap": "delay-sends = true", "relay": ""},
        extra=route + 'tls = "none"\n',
    )
    controller.start()
    try:
        with server:
            alice = jmap(server)
            undone = send(alice, LONG, "undone", "zoe@far.example")
            kept = send(alice, 2, "kept", "zoe@far.example")
            assert state_of(alice, undone["id"]) == "pending"
            assert state_of(alice, kept["id"]) == "pending" or is_due(kept)
            patch = {undone["id"]: {"undoStatus": "canceled"}}
            assert undone["id"] in alice.call("EmailSubmission/set", update=patch)["updated"]
            while state_of(alice, kept["id"]) != "final":
                time.sleep(0.05)
            assert is_due(kept)
            # Too late for that one.
            patch = {kept["id"]: {"undoStatus": "canceled"}}
            refused = alice.call("EmailSubmission/set", update=patch)["notUpdated"]
            assert refused[kept["id"]]["type"] == "cannotUnsend"
            assert json.loads(server.command("queue", "list", "--json").stdout) == []
            assert state_of(alice, undone["id"]) == "canceled"
    finally:
        server.kill()
        controller.stop()
    assert far.subjects == ["kept"]


def test_held_over_a_crash(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    server = DaemonProcess(tmp_path, keys={"jmap": "delay-sends = true\nmax-delayed-send = '1h'"})
    with server:
        alice = jmap(server)
        kept, undone, stopped = (
            send(alice, seconds, subject, "bob@example.org")
            for subject, seconds in (("kept", SECONDS), ("undone", LONG), ("stopped", LONG))
        )
        # There is no way to this one, so that it waits for another attempt.
        waiting = send(alice, 0, "waiting", "zoe@far.example")
        patch = {undone["id"]: {"undoStatus": "canceled"}}
        changed = alice.call("EmailSubmission/set", update=patch)
        assert undone["id"] in changed["updated"]

        listed = json.loads(server.command("queue", "list", "--json").stdout)
        shown = {m["id"]: m["send-at"] for m in listed}
        assert shown.pop(kept["id"], None) == kept["sendAt"] or is_due(kept)
        assert shown == {stopped["id"]: stopped["sendAt"], waiting["id"]: None}
        assert server.command("queue", "cancel", waiting["id"]).returncode == 0
        while state_of(alice, waiting["id"]) != "canceled":
            time.sleep(0.05)

        server.kill()
        assert server.command("queue", "cancel", stopped["id"]).returncode == 0
        assert server.command("queue", "retry", "--all").returncode == 0
        server.start()
        alice, bob = jmap(server), jmap(server, "bob")
        while state_of(alice, stopped["id"]) != "canceled":
            time.sleep(0.05)
        while not (received := subjects(bob)):
            time.sleep(0.05)
        assert is_due(kept)
        assert received == ["kept"]
        assert state_of(alice, undone["id"]) == "canceled"
        while state_of(alice, kept["id"]) != "final":
            time.sleep(0.05)
        assert json.loads(server.command("queue", "list", "--json").stdout) == []
    with server:
        assert subjects(jmap(server, "bob")) == ["kept"]

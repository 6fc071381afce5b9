"""Mail to other servers, from a JMAP client to an MX found in the DNS, and what comes back."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess
from mailhive.testing.smtp_peer import SmtpPeer


def send(client: Any, *recipients: str) -> str:
    """The id of a submission of a new Email."""
    account = {"accountId": client.account_id}
    drafts = next(m for m in client.call("Mailbox/get")["list"] if m["role"] == "drafts")
    draft = {
        "mailboxIds": {drafts["id"]: True},
        "from": [{"email": "alice@example.org"}],
        "to": [{"email": recipient} for recipient in recipients],
        "subject": "Out",
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": ".Hello\n"}},
    }
    email_id = client.call("Email/set", create={"d": draft})["created"]["d"]["id"]
    identity = client.call("Identity/get")["list"][0]["id"]
    submission = {"identityId": identity, "emailId": email_id}
    created = client.call("EmailSubmission/set", **account, create={"s": submission})
    found: str = created["created"]["s"]["id"]
    return found


def settled(client: Any, submission_id: str) -> dict[str, Any]:
    """deliveryStatus once nothing is queued."""
    while True:
        (submission,) = client.call("EmailSubmission/get", ids=[submission_id])["list"]
        status: dict[str, Any] = submission["deliveryStatus"]
        if all(entry["delivered"] != "queued" for entry in status.values()):
            assert submission["undoStatus"] == "final"
            return status
        time.sleep(0.05)


def noted(client: Any) -> list[list[str]]:
    submissions = client.call("EmailSubmission/get", ids=None)["list"]
    return sorted(submission["dsnBlobIds"] for submission in submissions)


@ensureDeferred
async def test_out_and_back(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    names = NameServer(
        {"far.example": {"MX": [(10, "mx.far.example")]}, "mx.far.example": {"A": ["127.0.0.1"]}}
    )
    await names.start(reactor)
    peer = SmtpPeer(replies={"RCPT": ["250 2.1.5 Ok", "550 5.1.1 Nobody here"]})
    port = await peer.start(reactor)
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            "relay": f"port = {port}",
        },
    )

    def work() -> None:
        with server:
            alice = jmap(server)
            status = settled(alice, send(alice, "zoe@far.example", "max@far.example"))
            assert status["zoe@far.example"]["delivered"] == "unknown"
            assert status["zoe@far.example"]["smtpReply"] == "250 2.0.0 Accepted"
            assert status["max@far.example"]["delivered"] == "no"
            assert status["max@far.example"]["smtpReply"] == "550 5.1.1 Nobody here"
            nowhere = settled(alice, send(alice, "x@nowhere.example"))
            assert nowhere["x@nowhere.example"]["smtpReply"].startswith("550 5.1.2 ")
            filter_ = {"subject": "Undelivered"}
            while len(ids := alice.call("Email/query", filter=filter_)["ids"]) < 2:
                time.sleep(0.05)
            reports = alice.call("Email/get", ids=ids, fetchTextBodyValues=True)["list"]
            # They are kept with the submissions that they are about (RFC 8621 §7).
            blobs = sorted([report["blobId"]] for report in reports)
            while blobs != noted(alice):
                time.sleep(0.05)
            texts = [
                value["value"] for report in reports for value in report["bodyValues"].values()
            ]
            assert any("mx.far.example said: 550 5.1.1 Nobody here" in text for text in texts)
            assert any("<x@nowhere.example>" in text for text in texts)

    try:
        await deferToThread(work)
        (message,) = peer.messages
        assert b"\r\n.Hello" in message and b"\r\nSubject: Out" in message
        assert peer.commands[0][1].startswith("MAIL FROM:<alice@example.org> SIZE=")
    finally:
        await peer.stop()
        await names.stop()

"""Mail that comes from outside and goes on to the outside, sealed, by a complete daemon."""

import smtplib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.authn.dkim_sign import SigningKey, published
from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess
from mailhive.testing.smtp_peer import SmtpPeer

KEY = SigningKey("example.org", "s", generate_private_key(65537, 2048))
RECORDS: dict[str, dict[str, list[Any]]] = {
    "far.example": {"MX": [(10, "mx.far.example")]},
    "mx.far.example": {"A": ["127.0.0.1"]},
    "author.example": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"]},
    "_dmarc.author.example": {"TXT": ["v=DMARC1; p=reject"]},
    "s._domainkey.example.org": {"TXT": [published(KEY)]},
}
TABLES = """
[dkim.one]
domains = ["example.org"]
selector = "s"
private-key = "dkim.pem"

[forward."sales@example.org"]
to = ["alice@example.org", "bob@far.example"]

[forward."list@example.org"]
to = ["eve@far.example"]
sender = "alice@example.org"
"""


def submit(client: Any, recipient: str) -> None:
    """Have a client of ours send an Email."""
    drafts = next(m for m in client.call("Mailbox/get")["list"] if m["role"] == "drafts")
    draft = {
        "mailboxIds": {drafts["id"]: True},
        "from": [{"email": "alice@example.org"}],
        "to": [{"email": recipient}],
        "subject": "ours",
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": "Hello\n"}},
    }
    email_id = client.call("Email/set", create={"d": draft})["created"]["d"]["id"]
    identity = client.call("Identity/get")["list"][0]["id"]
    submission = {"identityId": identity, "emailId": email_id}
    result = client.call("EmailSubmission/set", create={"s": submission})
    assert result["created"], result["notCreated"]


@ensureDeferred
async def test_mail_goes_on(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    names = NameServer(RECORDS)
    await names.start(reactor)
    peer = SmtpPeer()
    port = await peer.start(reactor)
    pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "dkim.pem").touch(0o600)
    (tmp_path / "dkim.pem").write_bytes(pem)
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            "relay": f"port = {port}",
            'server.listener."smtp"': "judge = true\ntrusted-networks = []\n"
            'trusted-sealers = ["example.org"]',
        },
        extra=TABLES,
    )

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 120
        while len(peer.messages) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def work() -> None:
        with server:
            with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
                text = "From: a@author.example\r\nSubject: on\r\n\r\n.Hello\r\n"
                smtp.sendmail("a@author.example", ["sales@example.org"], text)
                smtp.sendmail("a@author.example", ["list@example.org"], text)
                smtp.sendmail("", ["list@example.org"], text)
            alice = jmap(server)
            assert len(alice.call("Email/query", filter={"subject": "on"})["ids"]) == 1
            wait_for(3)
            # Whoever sends it to us now is not its author, but we trust who sealed it.
            sealed = next(m for m in peer.messages if b"dmarc=pass" in m)
            sealed = sealed.replace(b"\r\n..", b"\r\n.")
            for message, role in ((sealed, "inbox"), (sealed.replace(b"Hello", b"x"), "junk")):
                with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
                    smtp.sendmail("b@other.example", ["bob@example.org"], message)
                bob = jmap(server, "bob")
                box = next(m for m in bob.call("Mailbox/get")["list"] if m["role"] == role)
                assert box["totalEmails"] == 1
            submit(alice, "sales@example.org")
            wait_for(4)

    try:
        await deferToThread(work)
    finally:
        await peer.stop()
        await names.stop()
    paths = sorted(
        command.partition(" SIZE")[0]
        for transaction in peer.commands
        for command in transaction
        if command.startswith(("MAIL", "RCPT"))
    )
    assert paths == [
        "MAIL FROM:<>",
        "MAIL FROM:<a@author.example>",
        "MAIL FROM:<alice@example.org>",
        "MAIL FROM:<alice@example.org>",
        "RCPT TO:<bob@far.example>",
        "RCPT TO:<bob@far.example>",
        "RCPT TO:<eve@far.example>",
        "RCPT TO:<eve@far.example>",
    ]
    *others, ours = peer.messages
    # What is from here is signed, and not sealed: nothing was to be found of it.
    assert ours.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;") and b"ARC-Seal" not in ours
    assert b"\r\nDelivered-To: sales@example.org\r\n" in ours and b"Return-Path" not in ours
    assert dkim.verify(ours, dnsfunc=lambda name, timeout=5: published(KEY).encode())
    for message in others:
        message = message.replace(b"\r\n..", b"\r\n.")
        assert message.startswith(b"ARC-Seal: i=1; a=rsa-sha256; d=example.org; s=s;")
        assert b"Return-Path" not in message and b"\r\nDelivered-To: " in message
        verdict, _, why = dkim.arc_verify(
            message, dnsfunc=lambda name, timeout=5: published(KEY).encode()
        )
        assert verdict == b"pass", why
        results = message.partition(b"ARC-Authentication-Results: i=1; ")[2]
        assert results.startswith(b"mail.example.org;\r\n\tiprev=")
        assert b"dmarc=pass header.from=author.example" in results or b"smtp.helo" in results

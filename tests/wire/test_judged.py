"""Mail from outside, judged by a complete daemon with a DNS of its own."""

import smtplib
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.authn.dkim_sign import SigningKey, published, sign
from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess

RECORDS: dict[str, dict[str, list[str]]] = {
    "_dmarc.signed.example": {"TXT": ["v=DMARC1; p=reject"]},
    "good.example": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"]},
    "_dmarc.good.example": {"TXT": ["v=DMARC1; p=reject"]},
    "_dmarc.reject.example": {"TXT": ["v=DMARC1; p=reject"]},
    "_dmarc.aside.example": {"TXT": ["v=DMARC1; p=quarantine"]},
}


KEY = SigningKey("signed.example", "s", Ed25519PrivateKey.generate())
LONG = "x" * 900 + "\r\n"


def signed(author: str, body: str) -> str:
    """A message that is too long for memory to wait in, with its signature."""
    text = f"From: {author}\r\nSubject: {author}\r\n\r\n{body}"
    return sign(text.encode(), KEY, now=1_700_000_000).decode() + text


def send(server: DaemonProcess, author: str, *more: str, text: str = "") -> None:
    header = [f"From: {author}", f"Subject: {author}", *more]
    text = text or "\r\n".join([*header, "", ".Hello", ""])
    with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
        smtp.sendmail(author, ["alice@example.org"], text)


def received(client: Any, subject: str) -> tuple[dict[str, Any], Any]:
    """The Email of that subject, and its message."""
    ids = client.call("Email/query", filter={"subject": subject})["ids"]
    properties = ["blobId", "mailboxIds", "keywords"]
    (email,) = client.call("Email/get", ids=ids, properties=properties)["list"]
    url = client.session["downloadUrl"].format(
        accountId=client.account_id, blobId=email["blobId"], name="m", type=quote("a/b", safe="")
    )
    status, _, octets = client.request("GET", url)
    assert status == 200
    return email, message_from_bytes(octets)


@ensureDeferred
async def test_mail_is_judged(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    key = {"s._domainkey.signed.example": {"TXT": [published(KEY)]}}
    names = NameServer({**RECORDS, **key}, failing={"down.example", "_dmarc.down.example"})
    await names.start(reactor)
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            'server.listener."smtp"': "judge = true\ntrusted-networks = []\n"
            'dmarc-reject = "refuse"',
        },
    )

    def work() -> None:
        with server:
            alice = jmap(server)
            boxes = {m["role"]: m["id"] for m in alice.call("Mailbox/get")["list"]}
            feigned = "Authentication-Results: MAIL.example.org; dmarc=pass header.from=x"
            foreign = "Authentication-Results: other.example; none"
            send(server, "a@good.example", feigned, foreign)
            email, message = received(alice, "a@good.example")
            assert email["mailboxIds"] == {boxes["inbox"]: True} and not email["keywords"]
            ours, theirs = message.get_all("Authentication-Results")
            assert ours.startswith("mail.example.org;") and theirs == "other.example; none"
            assert "spf=pass smtp.mailfrom=a@good.example" in ours and "dmarc=pass" in ours
            assert message.keys() == [
                "Return-Path", "Received", "Authentication-Results", "From", "Subject",
                "Authentication-Results",
            ]  # fmt: skip
            assert message.get_payload() == ".Hello\r\n"
            # Put aside
            send(server, "a@aside.example")
            email, message = received(alice, "a@aside.example")
            assert email["mailboxIds"] == {boxes["junk"]: True}
            assert email["keywords"] == {"$junk": True}
            # Refused
            with pytest.raises(smtplib.SMTPDataError) as caught:
                send(server, "a@reject.example")
            assert caught.value.smtp_code == 550
            assert caught.value.smtp_error.startswith(b"5.7.1 ")
            assert not alice.call("Email/query", filter={"subject": "a@reject.example"})["ids"]
            # Long, and vouched for by a signature alone
            send(server, "a@signed.example", text=signed("a@signed.example", LONG * 1_000))
            email, message = received(alice, "a@signed.example")
            assert email["mailboxIds"] == {boxes["inbox"]: True}
            assert "dkim=pass header.d=signed.example" in message["Authentication-Results"]
            assert message.get_payload() == LONG * 1_000
            changed = signed("a@signed.example", LONG).replace(LONG, "y" + LONG)
            with pytest.raises(smtplib.SMTPDataError) as caught:
                send(server, "a@signed.example", text=changed)
            assert caught.value.smtp_code == 550
            # What cannot be known now is taken.
            send(server, "a@down.example")
            email, message = received(alice, "a@down.example")
            assert email["mailboxIds"] == {boxes["inbox"]: True}
            assert "dmarc=temperror" in message["Authentication-Results"]
            with pytest.raises(smtplib.SMTPDataError) as caught:
                send(server, "a@good.example", *["X-Long: " + "x" * 900] * 1_200)
            assert caught.value.smtp_code == 552

    try:
        await deferToThread(work)
    finally:
        await names.stop()


@ensureDeferred
async def test_neighbours_are_not_judged(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    names = NameServer(RECORDS)
    await names.start(reactor)
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            'server.listener."smtp"': 'judge = true\ndmarc-reject = "refuse"',
        },
    )

    def work() -> None:
        with server:
            alice = jmap(server)
            said = "Authentication-Results: mail.example.org; none"
            send(server, "a@reject.example", said)
            _, message = received(alice, "a@reject.example")
            assert message.get_all("Authentication-Results") == ["mail.example.org; none"]

    try:
        await deferToThread(work)
    finally:
        await names.stop()
    assert not names.asked

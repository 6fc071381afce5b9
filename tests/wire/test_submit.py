"""Mail programs that send: smtplib, and swaks with every way to log in."""

import shutil
import smtplib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from mailhive.testing.process import DaemonProcess, free_port

TEXT = (
    "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nBcc: secret@example.org\r\n"
    "Subject: {subject}\r\n\r\nHello\r\n"
)


class Ports:
    def __init__(self) -> None:
        self.starttls, self.implicit, self.clear = free_port(), free_port(), free_port()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[tuple[DaemonProcess, Ports]]:
    ports = Ports()
    pair = f'certificate = "{certificate[0]}"\nprivate-key = "{certificate[1]}"\n'
    extra = f"""
[server.listener."submission"]
bind = "127.0.0.1:{ports.starttls}"
protocol = "submission"
tls = "starttls"
{pair}
[server.listener."submissions"]
bind = "127.0.0.1:{ports.implicit}"
protocol = "submission"
tls = "implicit"
{pair}
[server.listener."behind-a-proxy"]
bind = "127.0.0.1:{ports.clear}"
protocol = "submission"
auth-in-clear = true
save-sent = true
"""
    users = {"alice": "wonder land", "bob": "builder"}
    with DaemonProcess(
        tmp_path_factory.mktemp("submit"),
        users=users,
        extra=extra,
        keys={"jmap": "delay-sends = true"},
    ) as daemon:
        yield daemon, ports


@pytest.fixture
def trust(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


def arrived(client: Any, subject: str) -> bytes:
    while not (ids := client.call("Email/query", filter={"subject": subject})["ids"]):
        time.sleep(0.02)
    (email,) = client.call("Email/get", ids=ids, properties=["blobId"])["list"]
    raw: bytes = client.download(email["blobId"])
    return raw


def test_starttls(server: Any, jmap: Callable[..., Any], trust: ssl.SSLContext) -> None:
    daemon, ports = server
    with smtplib.SMTP("localhost", ports.starttls) as smtp:
        assert smtp.ehlo()[0] == 250 and not smtp.has_extn("auth")
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT.format(subject="x"))
        assert refused.value.smtp_code == 530
    with smtplib.SMTP("localhost", ports.starttls) as smtp:
        smtp.starttls(context=trust)
        smtp.login("alice", "wonder land")
        smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT.format(subject="starttls"))
    raw = arrived(jmap(daemon, "bob"), "starttls")
    message = message_from_bytes(raw)
    # RFC 6409 §8: what was missing is there; and nobody else's business is not.
    assert message["Date"] and message["Message-ID"].endswith("@mail.example.org>")
    assert message["Bcc"] is None
    assert " with ESMTPSA id s" in message["Received"]
    assert message["Return-Path"] == "<alice@example.org>"


def test_implicit_tls(server: Any, jmap: Callable[..., Any], trust: ssl.SSLContext) -> None:
    daemon, ports = server
    with smtplib.SMTP_SSL("localhost", ports.implicit, context=trust) as smtp:
        smtp.login("alice@example.org", "wonder land")
        smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT.format(subject="implicit"))
    assert arrived(jmap(daemon, "bob"), "implicit")


def test_wrong_passwords(server: Any, trust: ssl.SSLContext) -> None:
    _, ports = server
    with (
        smtplib.SMTP_SSL("localhost", ports.implicit, context=trust) as smtp,
        pytest.raises(smtplib.SMTPAuthenticationError) as refused,
    ):
        smtp.login("alice", "wrong")
    assert refused.value.smtp_code == 535


def test_who_may_be_sent_as(server: Any) -> None:
    _, ports = server
    with smtplib.SMTP("localhost", ports.clear) as smtp:
        smtp.login("alice", "wonder land")
        with pytest.raises(smtplib.SMTPSenderRefused) as sender:
            smtp.sendmail("bob@example.org", ["bob@example.org"], TEXT.format(subject="x"))
        assert sender.value.smtp_code == 550
        forged = TEXT.format(subject="x").replace("<alice@", "<bob@")
        for text in (forged, "Subject: x\r\n\r\nNobody\r\n"):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                smtp.sendmail("alice@example.org", ["bob@example.org"], text)
            assert refused.value.smtp_code == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("alice@example.org", ["nobody@example.org"], TEXT.format(subject="x"))
        # Others are not known here, and their mail waits.
        smtp.sendmail("alice@example.org", ["zoe@far.example"], TEXT.format(subject="far"))


def test_the_sent_mailbox_has_a_copy(server: Any, jmap: Callable[..., Any]) -> None:
    daemon, ports = server
    with smtplib.SMTP("localhost", ports.clear) as smtp:
        smtp.login("alice", "wonder land")
        smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT.format(subject="kept"))
    alice = jmap(daemon, "alice")
    sent = next(m["id"] for m in alice.call("Mailbox/get")["list"] if m["role"] == "sent")
    (email_id,) = alice.call("Email/query", filter={"inMailbox": sent, "subject": "kept"})["ids"]
    properties = ["keywords", "bcc", "messageId", "blobId"]
    (email,) = alice.call("Email/get", ids=[email_id], properties=properties)["list"]
    assert email["keywords"] == {"$seen": True}
    assert email["bcc"][0]["email"] == "secret@example.org"  # which is the sender's business
    theirs = message_from_bytes(arrived(jmap(daemon, "bob"), "kept"))
    assert theirs["Message-ID"] == f"<{email['messageId'][0]}>" and theirs["Bcc"] is None
    assert message_from_bytes(alice.download(email["blobId"]))["Received"] is None


def test_reports(server: Any, jmap: Callable[..., Any]) -> None:
    daemon, ports = server
    with smtplib.SMTP("localhost", ports.clear) as smtp:
        smtp.login("alice", "wonder land")
        smtp.sendmail(
            "alice@example.org",
            ["bob@example.org"],
            TEXT.format(subject="tell me"),
            mail_options=["ENVID=mine"],
            rcpt_options=["NOTIFY=SUCCESS"],
        )
    report = arrived(jmap(daemon, "alice"), "Mail was delivered")
    assert b"Original-Envelope-Id: mine\r\n" in report
    assert b"Action: delivered\r\n" in report and b"Subject: tell me\r\n" in report


def test_messages_wait_for_their_time(server: Any, jmap: Callable[..., Any]) -> None:
    daemon, ports = server
    began = time.time()
    with smtplib.SMTP("localhost", ports.clear) as smtp:
        smtp.login("alice", "wonder land")
        assert smtp.has_extn("futurerelease")
        smtp.sendmail(
            "alice@example.org",
            ["bob@example.org"],
            TEXT.format(subject="held"),
            mail_options=["HOLDFOR=2"],
        )
        for options in (["HOLDFOR=99999999"], ["HOLDFOR=2", "HOLDUNTIL=2030-01-01T00:00:00Z"]):
            with pytest.raises(smtplib.SMTPSenderRefused):
                smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT, mail_options=options)
    assert arrived(jmap(daemon, "bob"), "held")
    assert time.time() - began >= 2


@pytest.mark.system
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("options", [["--tls"], ["--tlsc"], []])
def test_swaks(server: Any, jmap: Callable[..., Any], mechanism: str, options: list[str]) -> None:
    daemon, ports = server
    swaks = shutil.which("swaks")
    assert swaks, "swaks is not installed; apt-get install swaks"
    port = {"--tls": ports.starttls, "--tlsc": ports.implicit}.get("".join(options), ports.clear)
    subject = f"swaks{mechanism}{''.join(options) or '-clear'}"
    done = subprocess.run(
        [
            *(swaks, "--server", "127.0.0.1", "--port", str(port), *options),
            *("--auth", mechanism, "--auth-user", "alice", "--auth-password", "wonder land"),
            *("--from", "alice@example.org", "--to", "bob@example.org"),
            *("--header", f"Subject: {subject}", "--body", "Hello"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert arrived(jmap(daemon, "bob"), subject)

"""Mail programs that send: smtplib, and swaks with every way to log in."""

import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from pytest_twisted import ensureDeferred
from scramp import ScramClient
from scramp.core import CbName
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.threads import deferToThread

from mailhive.smtp import client
from mailhive.smtp.client_login import Login, log_in
from mailhive.smtp.relay.connection import Connection
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
[queue]
user-recipients-per-hour = 200
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
        no_header = "\r\n" + TEXT.format(subject="x")
        for text in (forged, "Subject: x\r\n\r\nNobody\r\n", no_header):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                smtp.sendmail("alice@example.org", ["bob@example.org"], text)
            assert refused.value.smtp_code == 550
        far_below = (
            f"{'X-Pad: ' + 'x' * 900 + chr(13) + chr(10)}" * 300 + "From: bob@example.org\r\n"
        )
        with pytest.raises(smtplib.SMTPDataError) as refused:
            text = TEXT.format(subject="x").replace("To:", f"{far_below}To:")
            smtp.sendmail("alice@example.org", ["bob@example.org"], text)
        assert refused.value.smtp_code == 552
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("alice@example.org", ["nobody@example.org"], TEXT.format(subject="x"))
        # Others are not known here, and their mail waits.
        smtp.sendmail("alice@example.org", ["zoe@far.example"], TEXT.format(subject="far"))


def test_how_much_may_be_sent_in_an_hour(server: Any) -> None:
    _, ports = server
    with smtplib.SMTP("127.0.0.1", ports.clear) as smtp:
        smtp.login("alice", "wonder land")
        smtp.mail("alice@example.org")
        for number in range(201):
            assert smtp.rcpt(f"r{number}@far.example")[0] == 250
        assert smtp.docmd("DATA") == (451, b"4.7.1 You may send to 200 recipients in an hour")


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


def log_in_by_scram(smtp: smtplib.SMTP, client: ScramClient) -> tuple[int, bytes]:
    def respond(challenge: bytes | None = None) -> str:
        if challenge is None or not challenge:
            first: str = client.get_client_first()
            return first
        if challenge.startswith(b"r="):
            client.set_server_first(challenge.decode())
            final: str = client.get_client_final()
            return final
        client.set_server_final(challenge.decode())
        return ""

    return smtp.auth(client.mechanism_name, respond)


def test_scram(server: Any, jmap: Callable[..., Any], trust: ssl.SSLContext) -> None:
    daemon, ports = server
    with smtplib.SMTP("localhost", ports.starttls) as smtp:
        smtp.starttls(context=trust)
        smtp.ehlo()
        assert smtp.esmtp_features["auth"].split()[:2] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
        assert log_in_by_scram(smtp, ScramClient(["SCRAM-SHA-256"], "alice", "wonder land"))
        smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT.format(subject="scram"))
    raw = arrived(jmap(daemon, "bob"), "scram")
    assert b" with ESMTPSA id s" in raw
    with smtplib.SMTP_SSL("localhost", ports.implicit, context=trust) as smtp:
        smtp.ehlo()
        bound = ("tls-server-end-point", smtp.sock)
        login, password = "alice@example.org", "wonder land"
        client = ScramClient(["SCRAM-SHA-256-PLUS"], login, password, channel_binding=bound)
        assert log_in_by_scram(smtp, client)[0] == 235


@ensureDeferred
async def test_scram_by_our_own_client(server: Any, certificate: tuple[Path, Path]) -> None:
    """As one that relays to a server logs in there."""
    _, ports = server
    authority = Certificate.loadPEM(certificate[0].read_bytes())
    creator = optionsForClientTLS("localhost", trustRoot=trustRootFromCertificates([authority]))
    endpoint = wrapClientTLS(creator, TCP4ClientEndpoint(reactor, "127.0.0.1", ports.implicit))
    factory = Factory.forProtocol(lambda: Connection(reactor, creator, implicit_tls=True))

    async def log_in_with(password: str, *, only_scram: bool) -> None:
        wire = await endpoint.connect(factory)
        session = await client.greet(wire, "relay.example", encrypted=True)
        try:
            await log_in(session, Login("alice", password, only_scram), deferToThread)
            assert (await session.command("MAIL FROM:<alice@example.org>")).code == 250
        finally:
            await client.leave(session)

    await log_in_with("wonder land", only_scram=True)
    for only_scram in (True, False):
        with pytest.raises(client.Refused, match="535"):
            await log_in_with("wonder", only_scram=only_scram)


def test_scram_without_the_password(server: Any, trust: ssl.SSLContext) -> None:
    _, ports = server
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    for login, password in (("alice", "wonder"), ("nobody", "wonder land")):
        with smtplib.SMTP_SSL("localhost", ports.implicit, context=trust) as smtp:
            smtp.ehlo()
            assert "SCRAM-SHA-256-PLUS" not in smtp.esmtp_features["auth"]
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                log_in_by_scram(smtp, ScramClient(["SCRAM-SHA-256"], login, password))
            assert refused.value.smtp_code == 535


def test_scram_bound_to_tls(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ports = server
    # The library knows the rules of RFC 9266, and only cannot get the octets from `ssl`.
    monkeypatch.setattr(CbName, "SUPPORTED_TYPES", {"tls-exporter"})
    monkeypatch.setattr(CbName, "UNSUPPORTED_TYPES", set())
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    connection = SSL.Connection(context, socket.create_connection(("localhost", ports.implicit)))
    connection.set_connect_state()
    connection.do_handshake()

    def say(line: str) -> str:
        connection.send(f"{line}\r\n".encode())
        return hear()

    def hear() -> str:
        heard = ""
        while not re.search("^[0-9]{3} .*\r\n", heard, re.MULTILINE):
            heard += connection.recv(4096).decode()
        return heard

    exported = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32)
    bound = ("tls-exporter", exported)
    client = ScramClient(["SCRAM-SHA-256-PLUS"], "alice", "wonder land", channel_binding=bound)
    hear()
    say("EHLO c.example")
    first = b64encode(client.get_client_first().encode()).decode()
    client.set_server_first(b64decode(say(f"AUTH SCRAM-SHA-256-PLUS {first}")[4:]).decode())
    final = say(b64encode(client.get_client_final().encode()).decode())
    client.set_server_final(b64decode(final[4:]).decode())
    assert say("").startswith("235 ")
    connection.close()


@pytest.mark.system
def test_msmtp(
    server: Any, jmap: Callable[..., Any], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    daemon, ports = server
    msmtp = shutil.which("msmtp")
    assert msmtp, "msmtp is not installed; apt-get install msmtp"
    settings = tmp_path / "msmtprc"
    settings.write_text(
        f"""account default
host localhost
port {ports.starttls}
tls on
tls_trust_file {certificate[0]}
auth scram-sha-256
user alice
password "wonder land"
from alice@example.org
"""
    )
    settings.chmod(0o600)
    done = subprocess.run(
        [msmtp, f"--file={settings}", "bob@example.org"],
        input=TEXT.format(subject="msmtp"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert arrived(jmap(daemon, "bob"), "msmtp")


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
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert arrived(jmap(daemon, "bob"), subject)

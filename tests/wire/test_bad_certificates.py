"""A daemon that sends mail to domains which ask for TLS, and whose servers do not have it."""

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.threads import deferToThread

from mailhive.testing.certificates import Pem, make_certificate
from mailhive.testing.names import NameServer
from mailhive.testing.policies import remember_policies
from mailhive.testing.process import DaemonProcess, free_port
from mailhive.testing.smtp_peer import SmtpPeer

from .test_relay import send, settled

POLICY = "version: STSv1\nmode: enforce\nmx: mx.strict.example\nmax_age: 86400\n"


def tls_peer(pem: Pem, *more: str) -> SmtpPeer:
    own = PrivateCertificate.loadPEM(pem.certificate + pem.private_key)
    return SmtpPeer(extensions=("STARTTLS", *more), context_factory=own.options())


def require_tls(client: Any, recipient: str) -> str:
    """Submit a draft by REQUIRETLS; the id of the submission."""
    drafts = next(m for m in client.call("Mailbox/get")["list"] if m["role"] == "drafts")
    draft = {
        "mailboxIds": {drafts["id"]: True},
        "from": [{"email": "alice@example.org"}],
        "subject": "Sealed",
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": "Secret\n"}},
    }
    email_id = client.call("Email/set", create={"d": draft})["created"]["d"]["id"]
    identity = client.call("Identity/get")["list"][0]["id"]
    parameters = {"REQUIRETLS": None, "RET": "FULL"}
    envelope = {
        "mailFrom": {"email": "alice@example.org", "parameters": parameters},
        "rcptTo": [{"email": recipient, "parameters": None}],
    }
    submission = {"identityId": identity, "emailId": email_id, "envelope": envelope}
    created = client.call("EmailSubmission/set", create={"s": submission})["created"]
    found: str = created["s"]["id"]
    return found


@ensureDeferred
async def test_nothing_in_clear(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    domains = ("strict", "sealed", "well", "plain")
    good, bad = make_certificate("mx.well.example"), make_certificate("bad.example")
    names = NameServer(
        {f"{name}.example": {"MX": [(10, f"mx.{name}.example")]} for name in domains}
        | {
            f"mx.{name}.example": {"A": [f"127.0.0.{number}"]}
            for number, name in enumerate(domains, 2)
        },
        signed={"sealed.example", "well.example"},
    )
    await names.start(reactor)
    peers = {
        "strict": tls_peer(bad),  # nobody known has signed it
        "sealed": tls_peer(bad),  # it is not that of the TLSA record
        "well": tls_peer(good, "REQUIRETLS"),
        "plain": SmtpPeer(),
    }
    port = free_port()  # at all of the addresses
    for number, peer in enumerate(peers.values(), 2):
        peer.interface = f"127.0.0.{number}"
        await peer.start(reactor, port)
    digest = sha256(good.x509.public_bytes(Encoding.DER)).digest()
    for name in ("sealed", "well"):
        names.records[f"_{port}._tcp.mx.{name}.example"] = {"TLSA": [(3, 0, 1, digest)]}  # type: ignore[index]
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            "relay": f"port = {port}\ndane = true",
        },
    )
    server.data.mkdir(mode=0o700)
    remember_policies(server.data / "mta-sts.sqlite", {"strict.example": POLICY})

    def status(client: Any, submission: str) -> dict[str, tuple[str, str]]:
        (found,) = client.call("EmailSubmission/get", ids=[submission])["list"]
        return {
            to.partition("@")[2]: (each["delivered"], each["smtpReply"])
            for to, each in found["deliveryStatus"].items()
        }

    def work() -> None:
        with server:
            alice = jmap(server)
            sent = send(alice, *(f"x@{name}.example" for name in domains))
            while True:
                said = status(alice, sent)
                if all(
                    reply[:14] != "250 2.0.0 Acce" or d != "queued" for d, reply in said.values()
                ):
                    break
                time.sleep(0.05)
            assert said["well.example"][0] == said["plain.example"][0] == "unknown"
            for domain in ("strict.example", "sealed.example"):
                assert said[domain][0] == "queued" and said[domain][1].startswith("451 4.7.5 ")
            assert "DANE" in said["sealed.example"][1]
            listed = server.command("queue", "list").stdout
            assert "strict.example" in listed and "sealed.example" in listed
            assert "well.example" not in listed
            # The others go on meanwhile.
            (again,) = settled(alice, send(alice, "y@plain.example")).values()
            assert again["delivered"] == "unknown"
            # What needs TLS goes where it is proved, and is refused at once where it is not.
            (secure,) = settled(alice, require_tls(alice, "z@well.example")).values()
            assert secure["delivered"] == "unknown"
            (open_,) = settled(alice, require_tls(alice, "z@plain.example")).values()
            assert open_["smtpReply"].startswith("550 5.7.30 ")
            filter_ = {"subject": "Undelivered"}
            while not (ids := alice.call("Email/query", filter=filter_)["ids"]):
                time.sleep(0.05)
            (report,) = alice.call("Email/get", ids=ids, properties=["blobId"])["list"]
            text = alice.download(report["blobId"]).decode()
            # RFC 8689 §5: as if RET had been HDRS.
            assert "Subject: Sealed" in text and "Secret" not in text and "5.7.30" in text

    try:
        await deferToThread(work)
    finally:
        for peer in peers.values():
            await peer.stop()
        await names.stop()
    for name in ("strict", "sealed"):
        assert not peers[name].messages
        assert {line.partition(" ")[0] for lines in peers[name].commands for line in lines} <= {
            "EHLO",
            "STARTTLS",
        }
    assert len(peers["well"].messages) == 2 and len(peers["plain"].messages) == 2
    mails = [line for lines in peers["well"].commands for line in lines if line[:4] == "MAIL"]
    assert [mail.endswith(" REQUIRETLS") for mail in mails] == [False, True]

"""Clients that a complete daemon does not like, with a DNS of its own."""

import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess

RECORDS: dict[str, dict[str, list[str]]] = {
    "1.0.0.127.bl.example": {"A": ["127.0.0.2"], "TXT": ["Sends spam"]},
    "1.0.0.127.in-addr.arpa": {"PTR": ["client.example"]},
    "client.example": {"A": ["127.0.0.1"]},
}
SETTINGS = """trusted-networks = []
client-name = "confirmed"
refuse-hello = ["own-name", "unknown"]
dns-lists = [{{ zone = "bl.example", action = "{action}" }}]
"""


def send(server: DaemonProcess, hello: str, to: str = "alice@example.org") -> None:
    feigned = "Authentication-Results: mail.example.org; dmarc=pass"
    with smtplib.SMTP("127.0.0.1", server.smtp_port, local_hostname=hello) as smtp:
        smtp.sendmail("a@client.example", [to], f"{feigned}\r\nSubject: {hello}\r\n\r\nx\r\n")


@ensureDeferred
async def test_clients_are_looked_at(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    names = NameServer(RECORDS)
    await names.start(reactor)
    resolvers = f'resolvers = ["127.0.0.1:{names.address[1]}"]'

    def daemon(name: str, action: str) -> DaemonProcess:
        (tmp_path / name).mkdir()
        smtp = SETTINGS.format(action=action)
        return DaemonProcess(
            tmp_path / name, keys={"server": resolvers, 'server.listener."smtp"': smtp}
        )

    def refusal(server: DaemonProcess, hello: str) -> tuple[int, bytes]:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            send(server, hello)
        reply: tuple[int, bytes] = caught.value.recipients["alice@example.org"]
        return reply

    def work() -> None:
        with daemon("refuse", "refuse") as server:
            assert refusal(server, "client.example") == (
                550,
                b"5.7.1 127.0.0.1 is listed by bl.example: Sends spam",
            )
        with daemon("junk", "junk") as server:
            assert refusal(server, "mail.example.org")[1].endswith(b"is not your name")
            assert refusal(server, "missing.example")[1].endswith(b"is not in the DNS")
            send(server, "client.example")
            alice = jmap(server)
            boxes = {m["role"]: m["id"] for m in alice.call("Mailbox/get")["list"]}
            ids = alice.call("Email/query")["ids"]
            field = "header:Authentication-Results:asText:all"
            (email,) = alice.call(
                "Email/get", ids=ids, properties=["mailboxIds", "keywords", field]
            )["list"]
            assert email["mailboxIds"] == {boxes["junk"]: True}
            assert email["keywords"] == {"$junk": True}
            told = " ".join(email[field][0].split())
            assert len(email[field]) == 1
            assert told.startswith("mail.example.org; iprev=pass reason=")
            assert "x-dnsbl=fail dns.zone=bl.example policy.ip=127.0.0.2" in told
            names.records = {**RECORDS, "client.example": {"A": ["127.0.0.9"]}}
            assert refusal(server, "client.example")[1].startswith(b"5.7.25 client.example, the")

    try:
        await deferToThread(work)
    finally:
        await names.stop()

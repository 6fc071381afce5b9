"""Mail that is signed on its way out, verified by another implementation."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import pytest
from click.testing import CliRunner
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mailhive.admin.cli import main
from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess
from mailhive.testing.smtp_peer import SmtpPeer

PLAIN = """
[server.listener.mx]
bind = "127.0.0.1:25"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""


def make_key(where: Path, algorithm: str) -> tuple[str, bytes]:
    """A table of the configuration, and the text of the record to publish."""
    config = where / "plain.toml"
    config.write_text(PLAIN)
    made = CliRunner().invoke(
        main,
        ["dkim", "make", "example.org", "-c", str(config), "--algorithm", algorithm,
         "--selector", algorithm, "--output", str(where / f"{algorithm}.pem")],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    table, _, record = made.output.partition("\n\n")
    return table, "".join(record.split('"')[1::2]).encode()


def send(client: Any, recipient: str) -> None:
    drafts = next(m for m in client.call("Mailbox/get")["list"] if m["role"] == "drafts")
    draft = {
        "mailboxIds": {drafts["id"]: True},
        "from": [{"name": "Älice", "email": "alice@example.org"}],
        "to": [{"email": recipient}],
        "subject": "Grüße",
        "bodyStructure": {"partId": "1", "type": "text/plain"},
        "bodyValues": {"1": {"value": ".Hello  \n\n..you\n\n\n"}},
    }
    email_id = client.call("Email/set", create={"d": draft})["created"]["d"]["id"]
    identity = client.call("Identity/get")["list"][0]["id"]
    submission = {"identityId": identity, "emailId": email_id}
    client.call("EmailSubmission/set", create={"s": submission})


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


@ensureDeferred
async def test_signatures_that_others_verify(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    names = NameServer({"far.example": {"A": ["127.0.0.1"]}})
    await names.start(reactor)
    peer = SmtpPeer()
    port = await peer.start(reactor)
    (rsa, rsa_record), (ed25519, ed25519_record) = (
        make_key(tmp_path, algorithm) for algorithm in ("rsa", "ed25519")
    )
    published = {b"rsa": rsa_record, b"ed25519": ed25519_record}
    server = DaemonProcess(
        tmp_path,
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            "relay": f"port = {port}",
        },
        extra=f"{rsa}\n{ed25519}\n",
    )

    def work() -> None:
        with server:
            alice = jmap(server)
            send(alice, "zoe@far.example")
            wait_for(lambda: bool(peer.messages))
            # Without its keys, after a reload
            config = server.directory / "mailhive.toml"
            config.write_text(config.read_text().replace(rsa, "").replace(ed25519, ""))
            server.send_signal(signal.SIGHUP)
            wait_for(lambda: "changed: dkim" in server.log())
            send(alice, "max@far.example")
            wait_for(lambda: len(peer.messages) == 2)

    try:
        await deferToThread(work)
    finally:
        await peer.stop()
        await names.stop()
    signed, plain = peer.messages
    for number, selector in enumerate((b"rsa", b"ed25519")):
        asked = []

        def record(name: bytes, timeout: int = 5, asked: list[bytes] = asked) -> bytes:
            asked.append(name.rstrip(b"."))
            return published[name.partition(b".")[0]]

        assert dkim.DKIM(signed).verify(idx=number, dnsfunc=record)
        assert asked == [selector + b"._domainkey.example.org"]
        changed = signed.replace(b"Hello", b"Hallo")
        with pytest.raises(dkim.ValidationError, match="body hash mismatch"):
            dkim.DKIM(changed).verify(idx=number, dnsfunc=record)
    assert b"DKIM-Signature" not in plain

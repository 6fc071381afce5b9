"""Filters of others at a complete daemon: one on libmilter, and opendkim."""

import shutil
import smtplib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mailhive.testing.process import DaemonProcess, free_port

pytestmark = pytest.mark.system

FILTER = Path(__file__).with_name("milter") / "change_everything.py"
TEXT = "Subject: as it was\r\nFrom: Alice <alice@example.org>\r\nTo: b\r\n\r\nHello\r\n"


@contextmanager
def running(*command: str | Path, ready: Callable[[], Any]) -> Iterator[None]:
    """A program, once `ready` raises no OSError any more."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while True:
            try:
                ready()
                break
            except OSError:
                if process.poll() is not None:
                    assert process.stdout is not None
                    raise AssertionError(process.stdout.read().decode()) from None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=100)


def connected(where: Any) -> None:
    family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        probe.connect(where)


def messages(client: Any, **wanted: Any) -> list[bytes]:
    ids = client.call("Email/query", filter=wanted)["ids"]
    emails = client.call("Email/get", ids=ids, properties=["blobId"])["list"]
    return [client.download(email["blobId"]) for email in emails]


def test_a_filter_on_libmilter(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    where = str(tmp_path / "filter.sock")
    server = DaemonProcess(
        tmp_path,
        users={"alice": "wonder land", "bob": "builder"},
        keys={'server.listener."smtp"': 'milters = "all"'},
        extra=f'[milter.all]\naddress = "unix:{where}"\n',
    )
    python = "/usr/bin/python3"  # which has the bindings of Debian
    with running(python, FILTER, f"unix:{where}", ready=lambda: connected(where)), server:
        with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
            for _ in range(2):
                assert not smtp.sendmail("a@far.example", ["alice@example.org"], TEXT)
            with pytest.raises(smtplib.SMTPSenderRefused) as refused:
                smtp.sendmail("refused@far.example", ["alice@example.org"], TEXT)
            assert refused.value.smtp_error == b"5.7.9 One\n5.7.9 Two 100%"
        assert not messages(jmap(server, "alice"))
        bob = jmap(server, "bob")
        junk = next(m["id"] for m in bob.call("Mailbox/get")["list"] if m["role"] == "junk")
        first, second = messages(bob, inMailbox=junk)
        for stored in (first, second):
            trace, _, rest = stored.partition(b" +0000\r\n")
            assert trace.startswith(b"Return-Path: <changed@far.example>\r\nReceived: ")
            assert b"\r\n\tfor <alice@example.org>; " in trace
            assert rest == (
                b"X-Seen: a@far.example\r\n\tby mail.example.org\r\n"
                b"Subject: changed\r\nFrom: Alice <alice@example.org>\r\nTo: b\r\n"
                b"X-Fields: Subject From To\r\nX-Octets: 7\r\n\r\nanother body\r\n"
            )


def test_opendkim_signs(tmp_path: Path, jmap: Callable[..., Any]) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "key.pem").chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    port, submission = free_port(), free_port()
    (tmp_path / "opendkim.conf").write_text(
        f"Domain example.org\nSelector s\nKeyFile {tmp_path}/key.pem\nMode s\nSyslog no\n"
        "Canonicalization relaxed/relaxed\nOversignHeaders From,Date\nRequireSafeKeys no\n"
    )
    program = shutil.which("opendkim", path="/usr/sbin:/usr/bin")
    assert program, "opendkim is missing"
    command = (program, "-f", "-x", tmp_path / "opendkim.conf", "-p", f"inet:{port}@127.0.0.1")
    listener = f"""
[server.listener.submission]
bind = "127.0.0.1:{submission}"
protocol = "submission"
auth-in-clear = true
milters = "opendkim"
[milter.opendkim]
address = "tcp:127.0.0.1:{port}"
"""
    server = DaemonProcess(
        tmp_path, users={"alice": "wonder land", "bob": "builder"}, extra=listener
    )
    with running(*command, ready=lambda: connected(("127.0.0.1", port))), server:
        with smtplib.SMTP("127.0.0.1", submission) as smtp:
            smtp.login("alice", "wonder land")
            assert not smtp.sendmail("alice@example.org", ["bob@example.org"], TEXT)
        bob = jmap(server, "bob")
        while not (found := messages(bob, subject="as it was")):
            time.sleep(0.05)
        (stored,) = found
        assert b"\nDKIM-Signature: v=1;" in stored
        assert dkim.verify(stored, dnsfunc=lambda *_, **__: record)

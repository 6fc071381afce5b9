"""Mail in by SMTP, then listed, read, flagged and moved by clients that other people wrote."""

import json
import os
import shutil
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import jmapc
import pytest
from jmap import CreationRef
from jmap.auth import BasicAuth
from jmap.client import JMAPClient
from jmapc import methods

from mailhive.testing.process import DaemonProcess

TEXT = "Grüße aus dem Büro.\nThe second line.\n"


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[DaemonProcess]:
    """A mailhive over HTTPS: jmapc speaks nothing else."""
    with DaemonProcess(tmp_path_factory.mktemp("secure"), tls=certificate) as server:
        yield server


def message(subject: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Zoé Lefèvre <zoe@example.net>"
    made["To"] = "alice@example.org"
    made["Subject"] = subject
    made["Message-ID"] = f"<{subject.replace(' ', '.')}@example.net>"
    made.set_content(TEXT)
    made.add_alternative("<p>Grüße aus dem Büro.</p>", subtype="html")
    return made


def deliver(server: DaemonProcess, subject: str) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100) as client:
        refused = client.send_message(
            message(subject), from_addr="zoe@example.net", to_addrs=["alice@example.org"]
        )
    assert refused == {}


def run(
    *command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished command, whatever its status, with what it wrote."""
    return subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


def test_jmapc(secure: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    assert secure.tls
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.tls[0]))
    deliver(secure, "Read by jmapc")
    client = jmapc.Client.create_with_password(
        host=f"localhost:{secure.http_port}", user="alice", password=secure.users["alice"]
    )

    # List
    mailboxes = client.request(methods.MailboxGet(ids=None), raise_errors=True).data
    inbox = next(m.id for m in mailboxes if m.role == "inbox")
    query, got = client.request(
        [
            methods.EmailQuery(
                filter=jmapc.EmailQueryFilterCondition(in_mailbox=inbox, text="jmapc"),
                sort=[jmapc.Comparator(property="receivedAt", is_ascending=False)],
                calculate_total=True,
            ),
            methods.EmailGet(
                ids=jmapc.Ref("/ids"),
                fetch_text_body_values=True,
                body_properties=["partId", "type"],
            ),
        ],
        raise_errors=True,
    )
    assert query.response.total == 1
    (email,) = got.response.data
    assert email.subject == "Read by jmapc"
    assert email.mail_from == [jmapc.EmailAddress(name="Zoé Lefèvre", email="zoe@example.net")]
    assert email.keywords == {}

    # Read
    (part,) = email.text_body
    assert part.type == "text/plain"
    assert email.body_values[part.part_id].value == TEXT
    assert email.preview.startswith("Grüße aus dem Büro.")

    # Flag
    flagged = client.request(
        methods.EmailSet(update={email.id: {"keywords/$flagged": True, "keywords/$seen": True}}),
        raise_errors=True,
    )
    assert email.id in flagged.updated

    # Move
    made = client.request(
        methods.MailboxSet(create={"filed": jmapc.Mailbox(name="Filed by jmapc")}),
        raise_errors=True,
    )
    filed = made.created["filed"].id
    moved = client.request(
        methods.EmailSet(update={email.id: {"mailboxIds": {filed: True}}}), raise_errors=True
    )
    assert email.id in moved.updated
    (after,) = client.request(
        methods.EmailGet(ids=[email.id], properties=["keywords", "mailboxIds"]), raise_errors=True
    ).data
    assert after.keywords == {"$flagged": True, "$seen": True}
    assert after.mailbox_ids == {filed: True}


@pytest.fixture(scope="session")
def jam(node_script: Callable[[str], tuple[str, Path]]) -> tuple[str, Path]:
    """The node to use, and a script beside which jmap-jam is installed."""
    return node_script("jam")


@pytest.mark.timeout(600)  # npm may have to download first
def test_jmap_jam(secure: DaemonProcess, jam: tuple[str, Path]) -> None:
    assert secure.tls
    deliver(secure, "Read by Jam")
    ran = run(
        *jam,
        env={
            "NODE_EXTRA_CA_CERTS": str(secure.tls[0]),
            "PATH": os.environ["PATH"],
            "SESSION_URL": secure.session_url,
            "LOGIN": "alice",
            "PASSWORD": secure.users["alice"],
            "SUBJECT": "Read by Jam",
        },
    )
    assert ran.returncode == 0, ran.stderr
    saw = json.loads(ran.stdout)
    email = saw["email"]
    assert saw["total"] == 1
    assert email["subject"] == "Read by Jam"
    assert email["from"] == [{"name": "Zoé Lefèvre", "email": "zoe@example.net"}]
    assert email["keywords"] == {}
    assert saw["text"] == TEXT
    assert "Subject: Read by Jam\r\n" in saw["blob"]
    assert list(saw["flagged"]["updated"]) == [email["id"]]
    assert list(saw["moved"]["updated"]) == [email["id"]]
    assert saw["after"]["keywords"] == {"$flagged": True, "$seen": True}
    assert saw["after"]["mailboxIds"] == {saw["filed"]: True}
    assert saw["counts"]["totalEmails"] == 1
    assert saw["counts"]["unreadEmails"] == 0


def test_jmaplib(daemon: DaemonProcess) -> None:
    """It checks the type of everything that it reads."""
    deliver(daemon, "Read by jmaplib")
    auth = BasicAuth("alice", daemon.users["alice"])
    with JMAPClient.connect(daemon.session_url, auth=auth) as client:
        # List
        with client.batch() as batch:
            mailboxes = batch.mail.mailbox.get(ids=None)
            found = batch.mail.email.query(filter={"subject": "jmaplib"}, calculate_total=True)
            got = batch.mail.email.get(ids=found.ref_ids(), fetchTextBodyValues=True)
            threads = batch.mail.thread.get(ids=got.ref("/list/*/threadId"))
            identities = batch.submission.identity.get(ids=None)
            vacation = batch.vacation.vacation_response.get(ids=None)
            subscriptions = batch.core.push_subscription.get(ids=None)
        boxes = {mailbox.role: mailbox.id for mailbox in mailboxes.result.items}
        assert found.result.total == 1
        (email,) = got.result.items
        assert (email.subject, email.keywords) == ("Read by jmaplib", {})
        assert email.body_values[email.text_body[0].part_id].value == TEXT
        assert threads.result.items[0].email_ids == [email.id]
        (identity,) = identities.result.items
        assert identity.email == "alice@example.org"
        assert [response.is_enabled for response in vacation.result.items] == [False]
        assert subscriptions.result.items == []

        # Read, flag, move
        raw = client.download(email.blob_id, account_id=got.result.account_id)
        assert b"\r\nSubject: Read by jmaplib\r\n" in raw
        with client.batch() as batch:
            flagged = batch.mail.email.set(update={email.id: {"keywords/$seen": True}})
            moved = batch.mail.email.set(
                update={email.id: {"mailboxIds": {boxes["archive"]: True}}},
            )
            changed = batch.mail.email.changes(since_state=got.result.state)
        assert email.id in flagged.result.updated
        assert email.id in moved.result.updated
        assert changed.result.updated == [email.id]

        # Send
        with client.batch() as batch:
            batch.mail.email.set(
                create={
                    "draft": {
                        "mailboxIds": {boxes["drafts"]: True},
                        "from": [{"email": "alice@example.org"}],
                        "to": [{"email": "bob@example.org"}],
                        "subject": "Sent by jmaplib",
                        "textBody": [{"partId": "1", "type": "text/plain"}],
                        "bodyValues": {"1": {"value": TEXT}},
                    }
                }
            )
            sent = batch.submission.email_submission.set(
                create={
                    "send": {"emailId": CreationRef("draft"), "identityId": identity.id},
                },
                onSuccessUpdateEmail={
                    "#send": {"mailboxIds": {boxes["sent"]: True}, "keywords/$draft": None}
                },
            )
        assert set(sent.result.created) == {"send"}
        with client.batch() as batch:
            filed = batch.mail.email.query(filter={"inMailbox": boxes["sent"]})
        assert len(filed.result.ids) == 1
    auth = BasicAuth("bob", daemon.users["bob"])
    with JMAPClient.connect(daemon.session_url, auth=auth) as client:
        ids: list[str] = []
        while not ids:  # it is on its way
            with client.batch() as batch:
                arrived = batch.mail.email.query(filter={"subject": "jmaplib"})
            ids = arrived.result.ids


@pytest.mark.system
def test_swaks(daemon: DaemonProcess, jmap: Callable) -> None:
    swaks = shutil.which("swaks")
    assert swaks, "swaks is not installed; apt-get install swaks"
    ran = run(
        swaks,
        *("--server", f"127.0.0.1:{daemon.smtp_port}"),
        *("--from", "zoe@example.net", "--to", "alice@example.org"),
        *("--h-Subject", "Sent by swaks", "--body", "A body."),
    )
    assert ran.returncode == 0, ran.stdout
    client = jmap(daemon)
    ids = client.call("Email/query", filter={"subject": "swaks"})["ids"]
    (email,) = client.call("Email/get", ids=ids, properties=["subject", "preview"])["list"]
    assert (email["subject"], email["preview"].strip()) == ("Sent by swaks", "A body.")

"""Accounts that come and go while the daemon runs."""

import base64
import http.client
import json
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailhive.directory.internal import InternalSettings, edit
from mailhive.model.principal import Principal
from mailhive.testing.process import DaemonProcess

MESSAGE = b"From: a@elsewhere.example\r\nTo: eve@x.example\r\nSubject: Hello\r\n\r\nHello\r\n"
USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, users={}) as server:
        yield server


def ask(server: DaemonProcess, login: str, password: str, *calls: object) -> tuple[int, dict]:
    """The status, and the session or the answer to `calls`."""
    pair = base64.b64encode(f"{login}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
    body = json.dumps({"using": USING, "methodCalls": calls}).encode() if calls else None
    url = f"{server.base_url}/jmap/api" if calls else server.session_url
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}


def send(server: DaemonProcess, recipient: str) -> int:
    """The code that RCPT or the message is answered with."""
    with smtplib.SMTP("127.0.0.1", server.smtp_port) as client:
        try:
            client.sendmail("a@elsewhere.example", recipient, MESSAGE)
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients[recipient][0]
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        return 250


def run(server: DaemonProcess, *words: str, password: str = "") -> str:
    done = server.account(*words, password=password)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mailboxes(server: DaemonProcess, login: str, password: str) -> dict[str, int]:
    """The role of each mailbox, and how many Emails are there."""
    _, session = ask(server, login, password)
    account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]
    _, answer = ask(server, login, password, ["Mailbox/get", {"accountId": account}, "0"])
    return {m["role"]: m["totalEmails"] for m in answer["methodResponses"][0][1]["list"]}


def test_an_account_through_its_life(server: DaemonProcess) -> None:
    assert ask(server, "eve", "first")[0] == 401
    assert send(server, "eve@x.example") == 550

    run(server, "add", "eve", "--email", "eve@x.example", "--bare", password="first")
    assert send(server, "eve@x.example") == 250
    assert ask(server, "eve", "first")[1]["username"] == "eve"
    assert mailboxes(server, "eve@x.example", "first") == {"inbox": 1}

    run(server, "password", "eve", password="second")
    assert ask(server, "eve", "first")[0] == 401
    assert ask(server, "eve", "second")[0] == 200

    run(server, "set", "eve", "--email", "e@x.example", "--quota", "1")
    assert send(server, "eve@x.example") == 550
    assert send(server, "e@x.example") == 452
    run(server, "set", "eve", "--no-quota")
    assert send(server, "e@x.example") == 250

    run(server, "remove", "eve")
    assert ask(server, "eve", "second")[0] == 401
    assert send(server, "e@x.example") == 550

    run(server, "add", "eve", password="third")
    assert mailboxes(server, "eve", "third") == {"inbox": 2}  # her mail was kept
    assert server.log().count("Traceback") == 0


@pytest.mark.parametrize("while_running", [True, False], ids=["running", "stopped"])
def test_removing_an_account_with_its_mail(server: DaemonProcess, while_running: bool) -> None:
    run(server, "add", "eve", "--email", "eve@x.example", password="first")
    run(server, "add", "bob", "--email", "bob@x.example", password="first")
    for name in ("eve", "bob"):
        assert send(server, f"{name}@x.example") == 250
    if not while_running:
        server.stop()
    run(server, "remove", "eve", "--delete-mail")
    if while_running:
        assert ask(server, "eve", "first")[0] == 401
        assert send(server, "eve@x.example") == 550
    else:
        assert server.account("add", "eve", password="second").returncode == 1
        server.start()
    deadline = time.monotonic() + 120
    while server.account("add", "eve", password="second").returncode:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert mailboxes(server, "eve", "second")["inbox"] == 0
    assert mailboxes(server, "bob", "first")["inbox"] == 1
    assert len(list((server.data / "accounts").glob("*.sqlite"))) == 2
    assert server.log().count("Traceback") == 0


def test_groups(server: DaemonProcess) -> None:
    """A member who leaves has no more part in the group's account from the next request on."""
    run(server, "add", "staff", "--group", "--email", "staff@x.example")
    run(server, "add", "eve", "--member-of", "staff", password="first")
    assert send(server, "staff@x.example") == 250
    names = {a["name"] for a in ask(server, "eve", "first")[1]["accounts"].values()}
    assert names == {"eve", "staff"}
    run(server, "set", "eve", "--no-member-of")
    names = {a["name"] for a in ask(server, "eve", "first")[1]["accounts"].values()}
    assert names == {"eve"}


class Kept:
    """A connection that stays open."""

    def __init__(self, server: DaemonProcess) -> None:
        self._connection = http.client.HTTPConnection(server.base_url.removeprefix("http://"))
        self._connection.connect()
        self._socket = self._connection.sock

    def close(self) -> None:
        assert self._connection.sock is self._socket
        self._connection.close()

    def reached(self, login: str, password: str) -> set[str] | int:
        """The names of the accounts that somebody reaches, or the status of a refusal."""
        echo = json.dumps({"using": USING, "methodCalls": [["Core/echo", {}, "0"]]})
        status, answer = self._ask("POST", "/jmap/api", login, password, echo)
        found, session = self._ask("GET", "/.well-known/jmap", login, password)
        assert found == status
        if status != 200:
            return status
        assert answer["sessionState"] == session["state"]
        return {account["name"] for account in session["accounts"].values()}

    def _ask(
        self, method: str, path: str, login: str, password: str, body: str | None = None
    ) -> tuple[int, dict]:
        pair = base64.b64encode(f"{login}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, json.load(answer)


def test_what_another_process_changes_holds_from_the_next_request_on(
    server: DaemonProcess,
) -> None:
    """On a connection that stays open, too."""
    editor = edit(InternalSettings(), server.data)
    editor.add(Principal("staff", "group"))
    editor.add(Principal("eve"), editor.hash_password("first"))
    kept = Kept(server)
    for _ in range(2):
        assert kept.reached("eve", "first") == {"eve"}

    editor.change("eve", member_of=("staff",))
    assert kept.reached("eve", "first") == {"eve", "staff"}
    editor.change("eve", member_of=())
    assert kept.reached("eve", "first") == {"eve"}

    editor.set_secret("eve", editor.hash_password("second"))
    assert kept.reached("eve", "first") == 401
    assert kept.reached("eve", "second") == {"eve"}

    editor.change("eve", enabled=False)
    assert kept.reached("eve", "second") == 401
    editor.change("eve", enabled=True)
    assert kept.reached("eve", "second") == {"eve"}

    password = editor.add_app_password("eve", "phone", ("jmap",))
    assert kept.reached("eve", password) == {"eve"}
    editor.remove_credential("app-password", "eve", "phone")
    assert kept.reached("eve", password) == 401
    kept.close()
    editor.close()

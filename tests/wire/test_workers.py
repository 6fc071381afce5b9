"""A daemon of two workers: one server to its clients, also while one of them dies."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import websocket
from attrs import Factory, define

from mailhive.testing.process import DaemonFailed, DaemonProcess

#: What a client hears who is to try again.
LATER = (421, 450, 451, 452)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("pair"), workers=2) as server:
        yield server


def until(condition: Callable[[], Any], patience: float = 120.0) -> Any:
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.02)
    return found


def lives(server: DaemonProcess, index: int) -> int:
    """How often a worker has begun to listen."""
    return len(re.findall(rf'/{index}\] smtp listener "smtp" on ', server.log()))


def end(server: DaemonProcess, index: int) -> int:
    """Kill a worker; how many lives it has had."""
    count = lives(server, index)
    os.kill(server.worker_pids()[index], signal.SIGKILL)
    return count


@contextlib.contextmanager
def only(server: DaemonProcess, index: int) -> Iterator[None]:
    """Connections that are made meanwhile are those of one worker: the other stands still."""
    others = [pid for number, pid in server.worker_pids().items() if number != index]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(map(_stands_still, others)))
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def http_to(server: DaemonProcess, index: int) -> http.client.HTTPConnection:
    """A connection to a worker."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=100)
    with only(server, index):
        connection.request("GET", "/.well-known/jmap")
        assert connection.getresponse().read()
    return connection


def smtp_to(server: DaemonProcess, index: int) -> smtplib.SMTP:
    with only(server, index):
        return smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100)


def deliver(client: smtplib.SMTP, subject: str, to: tuple[str, ...] = ("alice", "bob")) -> None:
    text = f"From: zoe@example.net\r\nSubject: {subject}\r\n\r\nAbout {subject}.\r\n"
    assert client.sendmail("zoe@example.net", [f"{u}@example.org" for u in to], text) == {}


def subjects(client: Any, **condition: Any) -> list[str]:
    ids = client.call("Email/query", filter=condition or None, limit=500)["ids"]
    emails = client.call("Email/get", ids=ids, properties=["subject"])["list"]
    return [email["subject"] for email in emails]


def owner(account_id: str) -> int:
    return crc32(account_id.encode()) % 2


def test_what_one_worker_acknowledges_the_other_shows(pair: DaemonProcess, jmap: Callable) -> None:
    clients = {
        user: [jmap(pair, user, http_to(pair, index)) for index in (0, 1)]
        for user in ("alice", "bob")
    }
    for first, second in clients.values():
        assert first.session == second.session
    senders = [smtp_to(pair, index) for index in (0, 1)]
    for number in range(4):
        deliver(senders[number % 2], f"zebra{number}")
        for first, second in clients.values():
            assert f"zebra{number}" in subjects(first)
            assert subjects(second, subject=f"zebra{number}") == [f"zebra{number}"]
            assert first.call("Mailbox/get", ids=None) == second.call("Mailbox/get", ids=None)
    ways = clients["alice"], clients["alice"][::-1], clients["bob"]
    for turn, (here, there) in enumerate(ways):
        state = there.call("Email/get", ids=[])["state"]
        (email_id, *_) = here.call("Email/query", limit=1)["ids"]
        changed = here.call("Email/set", update={email_id: {f"keywords/turn{turn}": True}})
        assert email_id in changed["updated"]
        changes = there.call("Email/changes", sinceState=state)
        assert changes["updated"] == [email_id]
        assert changes["newState"] == changed["newState"]
        made = here.call("Mailbox/set", create={"m": {"name": "New"}})["created"]["m"]["id"]
        blob_id = here.upload(b"Subject: imported\r\n\r\n" + b"x" * 2_000_000)
        emails = {"i": {"blobId": blob_id, "mailboxIds": {made: True}}}
        email_id = there.call("Email/import", emails=emails)["created"]["i"]["id"]
        assert here.download(blob_id) == there.download(blob_id)
        arguments = {"destroy": [made], "onDestroyRemoveEmails": True}
        assert there.call("Mailbox/set", **arguments)["destroyed"] == [made]
        assert here.call("Email/get", ids=[email_id])["notFound"] == [email_id]


def test_creation_ids_and_errors_cross_workers(pair: DaemonProcess, jmap: Callable) -> None:
    for index in (0, 1):
        client = jmap(pair, "alice", http_to(pair, index))
        asked = {
            "using": [*client.session["capabilities"]],
            "createdIds": {"z": "nothing"},
            "methodCalls": [
                [
                    "Mailbox/set",
                    {"accountId": client.account_id, "create": {"a": {"name": "A"}}},
                    "0",
                ],
                [
                    "Mailbox/set",
                    {
                        "accountId": client.account_id,
                        "create": {"b": {"name": "B", "parentId": "#a"}, "c": {"name": ""}},
                    },
                    "1",
                ],
                [
                    "Mailbox/set",
                    {"accountId": client.account_id, "destroy": ["#b", "#a"], "ifInState": "no"},
                    "2",
                ],
                ["Mailbox/set", {"accountId": client.account_id, "destroy": ["#b", "#a"]}, "3"],
                ["PushSubscription/get", {"ids": None}, "4"],
            ],
        }
        status, answer = client.post(json.dumps(asked).encode())
        assert status == 200
        first, second, third, fourth, fifth = answer["methodResponses"]
        ids = {"a": first[1]["created"]["a"]["id"], "b": second[1]["created"]["b"]["id"]}
        assert answer["createdIds"] == {"z": "nothing", **ids}
        assert second[1]["notCreated"]["c"]["type"] == "invalidProperties"
        assert third[:2] == ["error", third[1]]
        assert third[1]["type"] == "stateMismatch"
        assert fourth[1]["destroyed"] == [ids["b"], ids["a"]]
        assert fifth[0] == "PushSubscription/get"


def test_push_crosses_workers(pair: DaemonProcess, jmap: Callable) -> None:
    client = jmap(pair, "alice", http_to(pair, 0))
    sockets = []
    for index in (0, 1):
        with only(pair, index):
            plain = socket.create_connection(("127.0.0.1", pair.http_port), timeout=100)
            # Have that worker take it, by an answer.
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            _response(plain)
        url = client.session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"]
        sockets.append(
            websocket.create_connection(
                url,
                socket=plain,
                subprotocols=["jmap"],
                header={"Authorization": client.authorization},
            )
        )
    for ws in sockets:
        ws.send(json.dumps({"@type": "WebSocketPushEnable", "dataTypes": None}))
        ws.send(json.dumps({"@type": "Request", "id": "e", "using": [], "methodCalls": []}))
        assert json.loads(ws.recv())["requestId"] == "e"
    senders = [smtp_to(pair, index) for index in (0, 1)]
    for number in range(4):
        deliver(senders[number % 2], f"pushed{number}")
        state = client.call("Email/get", ids=[])["state"]
        for ws in sockets:
            told = json.loads(ws.recv())
            assert told["@type"] == "StateChange"
            assert told["changed"][client.account_id]["Email"] == state
    for ws in sockets:
        ws.close()


def _response(plain: socket.socket) -> None:
    """Read the answer to a request, to its end."""
    response = http.client.HTTPResponse(plain)
    response.begin()
    response.read()


def test_a_ticket_is_good_once_wherever_it_is_shown(pair: DaemonProcess, jmap: Callable) -> None:
    client = jmap(pair, "alice", http_to(pair, 0))
    capability = client.session["capabilities"]["urn:uuid:accc534d-23b3-4935-be2a-985ad5bf4570"]
    _, _, body = client.request("POST", capability["url"])
    ticket = json.loads(body)["ticket"]
    url = client.session["eventSourceUrl"].split("{")[0].split("?")[0]
    path = url.removeprefix(pair.base_url)
    query = f"?types=*&closeafter=state&ping=1&ticket={ticket}"
    for status in (200, 401):
        connection = http_to(pair, 1)
        connection.request("GET", path + query)
        assert connection.getresponse().status == status
        connection.close()


def test_failed_logins_are_counted_by_all(pair: DaemonProcess) -> None:
    connections = [http_to(pair, index) for index in (0, 1)]

    def guess(number: int) -> int:
        login = base64.b64encode(f"mallory:guess{number}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        connections[number % 2].request("GET", "/.well-known/jmap", headers=headers)
        response = connections[number % 2].getresponse()
        response.read()
        return response.status

    answers = [guess(number) for number in range(8)]
    assert answers[:4] == [401] * 4
    assert answers[-1] == 429


@define
class Load:
    """Mail that comes in on the connections of one worker, and what was said to it."""

    server: DaemonProcess
    index: int
    acknowledged: list[str] = Factory(list)
    put_off: int = 0
    _threads: list[threading.Thread] = Factory(list)
    _stop: threading.Event = Factory(threading.Event)
    _errors: list[BaseException] = Factory(list)

    def __enter__(self) -> "Load":
        for number in range(2):
            client = smtp_to(self.server, self.index)
            thread = threading.Thread(target=self._run, args=(client, number))
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._errors == []

    def _run(self, client: smtplib.SMTP, thread: int) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                subject = f"load{self.index}x{thread}x{number}"
                number += 1
                try:
                    deliver(client, subject)
                except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused) as error:
                    codes = (
                        [error.smtp_code]
                        if isinstance(error, smtplib.SMTPDataError)
                        else [code for code, _ in error.recipients.values()]
                    )
                    assert all(code in LATER for code in codes), error
                    self.put_off += 1
                else:
                    self.acknowledged.append(subject)
            client.quit()  # the connection lives
        except BaseException as error:
            self._errors.append(error)


@pytest.mark.parametrize("victim", [0, 1], ids=["office", "other"])
def test_a_worker_that_is_killed_is_replaced(tmp_path: Path, jmap: Callable, victim: int) -> None:
    survivor = 1 - victim
    with DaemonProcess(tmp_path, workers=2) as server:
        client = jmap(server, "alice", http_to(server, survivor))
        with only(server, survivor):
            stream = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=100)
            url = client.session["eventSourceUrl"].split("{")[0].split("?")[0]
            path = url.removeprefix(server.base_url)
            stream.request("GET", "/")
            assert stream.getresponse().read()
        stream.request(
            "GET",
            f"{path}?types=*&closeafter=no&ping=0",
            headers={"Authorization": client.authorization},
        )
        events = stream.getresponse()
        assert events.status == 200
        with Load(server, survivor) as load:
            until(lambda: len(load.acknowledged) >= 5)
            had = end(server, victim)
            until(lambda: lives(server, victim) > had)
            count = len(load.acknowledged)
            until(lambda: len(load.acknowledged) >= count + 10)
        assert set(load.acknowledged) <= set(all_subjects(client))
        replaced = jmap(server, "alice", http_to(server, victim))
        deliver(smtp_to(server, victim), "after")
        assert "after" in all_subjects(client)
        assert "after" in all_subjects(replaced)
        until(lambda: str(client.call("Email/get", ids=[])["state"]).encode() in _heard(events))
        bob = jmap(server, "bob")
        assert set(load.acknowledged) <= set(all_subjects(bob))
        assert {owner(c.account_id) for c in (client, bob)} <= {0, 1}
        log = server.log()
        assert f"Worker {victim} ended and is replaced" in log
        assert "Traceback" not in log


def all_subjects(client: Any) -> list[str]:
    found: list[str] = []
    while page := client.call("Email/query", position=len(found), limit=500)["ids"]:
        emails = client.call("Email/get", ids=page, properties=["subject"])["list"]
        found += [email["subject"] for email in emails]
    return found


def _heard(events: http.client.HTTPResponse) -> bytes:
    return events.read1(65_536)


def test_a_message_that_is_held_for_an_office_that_died_goes_out(
    tmp_path: Path, jmap: Callable
) -> None:
    """Sent by a worker again and again while the office dies: none is lost."""
    with DaemonProcess(tmp_path, workers=2) as server:
        client = jmap(server, "alice", http_to(server, 1))
        bob = jmap(server, "bob", http_to(server, 1))
        (identity,) = client.call("Identity/get", ids=None)["list"]
        drafts = client.call("Mailbox/query", filter={"role": "drafts"})["ids"][0]
        sent: list[str] = []
        stop = threading.Event()
        errors: list[BaseException] = []

        def send() -> None:
            number = 0
            try:
                while not stop.is_set():
                    subject = f"sent{number}"
                    number += 1
                    email = {
                        "mailboxIds": {drafts: True},
                        "from": [{"email": identity["email"]}],
                        "to": [{"email": "bob@example.org"}],
                        "subject": subject,
                        "bodyValues": {"t": {"value": "Text"}},
                        "textBody": [{"partId": "t"}],
                    }
                    made = client.ask("Email/set", create={"e": email})
                    if "error" in made:
                        assert made["error"]["type"] == "serverUnavailable", made
                        continue
                    if made["notCreated"]:
                        continue
                    one = {"identityId": identity["id"], "emailId": made["created"]["e"]["id"]}
                    answer = client.ask("EmailSubmission/set", create={"s": one})
                    if "error" in answer:
                        assert answer["error"]["type"] == "serverUnavailable", answer
                    elif answer["created"]:
                        sent.append(subject)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        until(lambda: len(sent) >= 4 or errors)
        had = end(server, 0)
        until(lambda: lives(server, 0) > had)
        count = len(sent)
        until(lambda: len(sent) >= count + 4 or errors)
        stop.set()
        thread.join()
        assert errors == []
        until(lambda: set(sent) <= set(all_subjects(bob)))
        assert "Traceback" not in server.log()


def test_hangup_and_termination_reach_all(tmp_path: Path, jmap: Callable) -> None:
    extra = '[jmap.http]\nheaders = ["X-Version: {}"]\n'
    server = DaemonProcess(tmp_path, workers=2, extra=extra.format(1))
    server.start()
    try:
        connections = [http_to(server, index) for index in (0, 1)]

        def versions() -> list[str | None]:
            found = []
            for connection in connections:
                connection.request("GET", "/.well-known/jmap")
                response = connection.getresponse()
                response.read()
                found.append(response.headers["X-Version"])
            return found

        assert versions() == ["1", "1"]
        config = tmp_path / "mailhive.toml"
        config.write_text(config.read_text("utf-8").replace("X-Version: 1", "X-Version: 2"))
        server.send_signal(signal.SIGHUP)
        until(lambda: versions() == ["2", "2"])
        had = end(server, 1)
        until(lambda: lives(server, 1) > had)
        connections[1] = http_to(server, 1)  # it has taken over what was reloaded
        until(lambda: versions() == ["2", "2"])
        # Both have a message half way in; they are let end.
        senders = [smtp_to(server, index) for index in (0, 1)]
        for number, sender in enumerate(senders):
            sender.ehlo()
            assert sender.mail("zoe@example.net")[0] == 250
            assert sender.rcpt("alice@example.org")[0] == 250
            assert sender.docmd("DATA")[0] == 354
            sender.send(f"Subject: last{number}\r\n\r\n")
        server.send_signal(signal.SIGTERM)
        for pid in server.worker_pids().values():  # as a service manager does it
            os.kill(pid, signal.SIGTERM)
        until(lambda: server.log().count("Received SIGTERM") == 3)
        for sender in senders:
            sender.send("Text.\r\n.\r\n")
            assert sender.getreply()[0] == 250
        until(lambda: not server.is_running())
        server.start()
        client = jmap(server, "alice")
        assert {"last0", "last1"} <= set(all_subjects(client))
        pids = server.worker_pids().values()
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not any(map(_is_running, pids)))  # they end with their supervisor
        assert "Traceback" not in server.log()
        assert "killed" not in server.log()
    finally:
        server.kill()


def test_no_other_daemon_runs_on_the_directory(pair: DaemonProcess, tmp_path: Path) -> None:
    for workers in (2, 1):
        other = DaemonProcess(tmp_path, workers=workers)
        (tmp_path / "data").unlink(missing_ok=True)
        (tmp_path / "data").symlink_to(pair.data)
        try:
            with contextlib.suppress(DaemonFailed):  # its ports answer for a moment
                other.start()
            until(lambda other=other: not other.is_running())
            assert "is in use by another process" in other.log()
        finally:
            other.kill()


def _stands_still(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text("ascii")


def _is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return False

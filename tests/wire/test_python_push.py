"""Python clients that other people wrote: they hear of mail, and of what they missed."""

import smtplib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jmapc
import pytest
from jmap.auth import BasicAuth
from jmap.client import JMAPClient
from jmap.models.push import StateChange
from jmap.push import EventSourceClient, WebSocketClient

from mailhive.testing.process import DaemonProcess

EMAIL_TYPES = {"Email", "EmailDelivery", "Mailbox", "Thread"}


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("secure"), tls=certificate) as server:
        yield server


def deliver(server: DaemonProcess) -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100) as smtp:
        smtp.sendmail("zoe@example.net", "alice@example.org", "Subject: s\r\n\r\nText.\r\n")


def heard(server: DaemonProcess, listen: Callable[[], Any]) -> Any:
    """What `listen` returns, for which mail comes in until it does: when it has
    begun to listen cannot be seen from outside."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(listen()), daemon=True)
    thread.start()
    while thread.is_alive():
        deliver(server)
        thread.join(0.1)
    assert result, "it failed; see its traceback"
    return result[0]


def test_jmapc(secure: DaemonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    assert secure.tls
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.tls[0]))

    def listen(last: str | None = None) -> Any:
        client = jmapc.Client.create_with_password(
            host=f"localhost:{secure.http_port}",
            user="alice",
            password=secure.users["alice"],
            last_event_id=last,
        )
        return next(client.events)

    first = heard(secure, listen)
    deliver(secure)
    missed = listen(first.id)
    (states,) = missed.data.changed.values()
    (before,) = first.data.changed.values()
    for name in ("email", "email_delivery", "mailbox", "thread"):
        assert getattr(states, name) not in {None, getattr(before, name)}
    assert missed.id not in {None, first.id}


@pytest.fixture
def jmaplib(daemon: DaemonProcess) -> Iterator[JMAPClient]:
    auth = BasicAuth("alice", daemon.users["alice"])
    with JMAPClient.connect(daemon.session_url, auth=auth) as client:
        yield client


def test_jmaplib_event_source(daemon: DaemonProcess, jmaplib: JMAPClient) -> None:
    source = EventSourceClient(jmaplib)

    def listen() -> StateChange:
        events = source.events()
        try:
            return next(event for event in events if isinstance(event, StateChange))
        finally:
            events.close()

    first = heard(daemon, listen)
    assert first.types() >= EMAIL_TYPES
    deliver(daemon)
    missed = listen()  # from where it stopped
    assert missed.types() >= EMAIL_TYPES
    assert missed.outdated(first.changed) == missed.changed


def test_jmaplib_websocket(daemon: DaemonProcess, jmaplib: JMAPClient) -> None:
    with WebSocketClient(jmaplib) as socket:
        socket.enable_push()

        def listen() -> StateChange:
            return next(iter(socket.notifications()))

        first = heard(daemon, listen)
        assert first.types() >= EMAIL_TYPES
        with socket.batch() as batch:
            known = batch.mail.email.get(ids=[])
        cursor = socket.push_state
    deliver(daemon)
    with WebSocketClient(jmaplib, push_state=cursor) as socket:
        socket.enable_push()
        missed = next(iter(socket.notifications()))
        with socket.batch() as batch:
            emails = batch.mail.email.get(ids=[])
            changes = batch.mail.email.changes(since_state=known.result.state)
    assert missed.matches(emails.result.account_id, "Email", emails.result.state)
    assert changes.result.created

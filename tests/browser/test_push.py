"""A page of another origin hears of mail, loses its network, and comes back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailhive.testing.certificates import make_certificate
from mailhive.testing.process import DaemonProcess, free_port

pytestmark = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path, network_to: Callable, origin: str) -> Iterator[tuple]:
    """A mailhive that the page reaches through a network of its own."""
    port = free_port()
    network = network_to(port)
    with DaemonProcess(
        tmp_path,
        http_port=port,
        url=f"http://127.0.0.1:{network.port}",
        extra=f'[jmap.http]\nallowed-origins = ["{origin}"]\n',
    ) as daemon:
        yield daemon, network


def lose(page, network, how: str) -> None:
    """The page has lost its network when this returns, and knows it."""
    if how == "cut":
        network.cut()
    else:
        network.stall()
        offline(page, True)
        page.wait("client.network.at(-1) === 'offline'")
    page.wait("client.open.socket === null && client.open.events === null")


def regain(page, network, how: str) -> None:
    """The page listens again when this returns."""
    network.restore()
    if how == "stalled":
        offline(page, False)
        page.wait("client.network.at(-1) === 'online'")
    page.wait("client.isListening()")


def offline(page, is_offline: bool) -> None:
    page.driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )


def told(page, times: int, emails: int) -> None:
    """Each channel has told the page so many times, of so many Emails in all."""
    for channel in ("socket", "events"):
        page.wait(f"client.seen.{channel}.length >= {times}")
        assert len(page.run(f"return client.seen.{channel}")) == times
    page.wait(f"client.emails.size >= {emails}")
    assert page.run("return client.emails.size") == emails


@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_coming_back(page, server, origin, deliver, how):
    daemon, network = server
    deliver(daemon, "before")
    page.open(origin)
    page.start_client(daemon)
    assert page.run("return client.calls") == ["Email/get", "Email/query"]
    deliver(daemon, "while it listens")
    told(page, 1, 2)
    account_id = page.run("return client.accountId")
    for channel in ("socket", "events"):
        (changed,) = page.run("return client.seen[args[0]]", channel)
        assert {"Email", "EmailDelivery", "Mailbox", "Thread"} <= set(changed[account_id])

    heard, known = 1, 2
    # However much it has missed, it is told once; and not at all, if that is nothing.
    for missed in (1, 3, 0):
        lose(page, network, how)
        for number in range(missed):
            deliver(daemon, f"missed {number}")
        regain(page, network, how)
        if missed:
            heard, known = heard + 1, known + missed
            told(page, heard, known)
        deliver(daemon, "when it is back")
        heard, known = heard + 1, known + 1
        told(page, heard, known)
    calls = page.run("return client.calls")
    assert calls == ["Email/get", "Email/query"] + ["Email/changes"] * heard
    assert page.run("return client.pushState.socket === client.pushState.events")
    assert "/jmap/ws 101" in daemon.log()
    assert "ticket=" not in daemon.log()


def test_listening_over_tls(page, tmp_path, origin, deliver):
    pem = make_certificate("localhost")
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(pem.certificate)
    files[1].write_bytes(pem.private_key)
    extra = f'[jmap.http]\nallowed-origins = "{origin}"\n'
    with DaemonProcess(tmp_path, tls=files, extra=extra) as daemon:
        page.open(origin)
        page.start_client(daemon)
        socket, events = page.run("return [client.open.socket.url, client.open.events.url]")
        assert socket.startswith("wss://localhost:")
        assert events.startswith("https://localhost:")
        deliver(daemon, "while it listens")
        told(page, 1, 1)

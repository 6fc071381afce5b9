"""Chromium, pages of origins other than mailhive's, and a network that can be taken away."""

import contextlib
import functools
import shutil
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service

from mailhive.testing.process import DaemonProcess, free_port

#: As anybody, root too, without a screen, and without calling home.
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]  # fmt: skip
PATIENCE = 120  # seconds for which a page is waited for


def program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"{names[0]} is not installed; apt-get install chromium chromium-driver"
    return found


class Page:
    """A tab with tests/browser/pages/index.html, from the origin that it is opened from."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """What the function of this body returns, or its promise is fulfilled with."""
        return self.driver.execute_script(
            f"return (async (...args) => {{ {script} }})(...arguments)", *arguments
        )

    def start_client(self, server: DaemonProcess, user: str = "alice", start: str = "start") -> Any:
        """Make `client` in the page, a `Client` of pages/client.js."""
        return self.run(
            f"window.client = new Client(...args); return client.{start}()",
            *(server.base_url, user, server.users[user]),
        )

    def wait(self, condition: str) -> None:
        """Return when the expression holds."""
        try:
            self.run(f"await until(() => {condition})")
        except TimeoutException:
            state = self.run("return JSON.stringify(client)")
            raise AssertionError(f"never: {condition}; the page has {state}") from None


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    options.accept_insecure_certs = True  # those of tests have signed themselves
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[Page]:
    """A tab of its own, which shares nothing with other tests but caches."""
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    yield Page(driver)
    driver.close()
    driver.switch_to.window(first)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Not to the standard error."""


@pytest.fixture(scope="session")
def web_port() -> Iterator[int]:
    """Where the pages are: localhost and 127.0.0.1 there are two origins."""
    handler = functools.partial(Quiet, directory=str(Path(__file__).with_name("pages")))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def origin(web_port: int) -> str:
    return f"http://127.0.0.1:{web_port}"


@pytest.fixture(scope="session")
def other_origin(web_port: int) -> str:
    return f"http://localhost:{web_port}"


class Network:
    """The way to a port of the loopback, through a port of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        self._listening: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._flows = threading.Event()
        self.restore()

    def cut(self) -> None:
        """End every connection, and refuse others."""
        if self._listening is not None:
            shut(self._listening)
            self._listening.close()
            self._listening = None
        for end in tuple(self._ends):
            shut(end)

    def stall(self) -> None:
        """Let nothing through any more, and say so to nobody."""
        self._flows.clear()

    def restore(self) -> None:
        self._flows.set()
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=[self._listening], daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # nobody is there
                near.close()
                continue
            self._ends |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        shut(sink)
        self._ends.discard(source)


def shut(end: socket.socket) -> None:
    """End a socket.  A thread that waits for it keeps it open if it is only closed."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def network_to() -> Iterator[Callable[[int], Network]]:
    made: list[Network] = []

    def make(port: int) -> Network:
        made.append(Network(port))
        return made[-1]

    yield make
    for network in made:
        network.restore()  # what stalls would wait for ever
        network.cut()


@pytest.fixture
def deliver() -> Callable[..., None]:
    """Send a message to a user of a server by SMTP; it is there when this returns."""

    def deliver(server: DaemonProcess, subject: str, user: str = "alice") -> None:
        with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=100) as smtp:
            smtp.sendmail(
                "zoe@example.net",
                f"{user}@example.org",
                f"From: zoe@example.net\r\nSubject: {subject}\r\n\r\nText.\r\n",
            )

    return deliver

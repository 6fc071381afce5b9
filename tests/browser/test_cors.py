"""Pages of other origins, and whom the settings let in: in a browser, which enforces it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailhive.testing.process import DaemonProcess

pytestmark = pytest.mark.system

#: As https://stalw.art documents a permissive policy.
PERMISSIVE_HEADERS = """
headers = ["Access-Control-Allow-Origin: *",
           "Access-Control-Allow-Methods: POST, GET, HEAD, OPTIONS",
           "Access-Control-Allow-Headers: *"]
"""
REFUSED = "TypeError: Failed to fetch"

#: Everything a client does, and what the page may see of the answers.
EVERYTHING = """
    window.client = new Client(...args);
    const text = "Subject: s\\r\\n\\r\\n" + "x".repeat(100_000);
    await client.login();
    const uploaded = await client.upload(text, "message/rfc822");
    const { blobId } = await uploaded.json();
    const imported = await client.call("Email/import", { emails: { a: {
      blobId, mailboxIds: { [(await client.call("Mailbox/get")).list[0].id]: true },
    } } });
    const downloaded = await client.download(blobId, "message/rfc822", "ä.eml");
    const content = await downloaded.text();
    const part = await client.fetch(downloaded.url, { headers: { Range: "bytes=0-8" } });
    const tooLarge = await client.upload("x".repeat(3_000_000), "text/plain");
    const nobody = await fetch(client.session.apiUrl, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: "{}",
    });
    const nowhere = await client.fetch(client.server + "/nowhere");
    return {
      uploaded: uploaded.status,
      imported: Object.keys(imported.created),
      downloaded: [downloaded.status, content === text],
      name: downloaded.headers.get("Content-Disposition"),
      part: [part.status, await part.text(), part.headers.get("Content-Range")],
      tooLarge: [tooLarge.status, (await tooLarge.json()).limit],
      nobody: [nobody.status, nobody.headers.get("WWW-Authenticate")],
      nowhere: nowhere.status,
      ticket: (await client.ticket()).length > 20,
    };
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], DaemonProcess]]:
    """Start a mailhive with these lines in `[jmap.http]`."""
    started: list[DaemonProcess] = []

    def start(lines: str) -> DaemonProcess:
        extra = f'[jmap.http]\n{lines}\n[jmap.upload]\nmax-size = "1M"\n'
        started.append(DaemonProcess(tmp_path, extra=extra))
        started[-1].start()
        return started[-1]

    yield start
    for daemon in started:
        daemon.stop()


def attempt(page, server, origin: str) -> str:
    """What a page of `origin` gets for a login: a status, or what the browser says."""
    page.open(origin)
    return page.run(
        """
        window.client = new Client(...args);
        return client.login().then(() => "logged in", String);
        """,
        *(server.base_url, "alice", server.users["alice"]),
    )


def works(page, server, origin: str) -> None:
    page.open(origin)
    seen = page.run(EVERYTHING, server.base_url, "alice", server.users["alice"])
    assert seen["uploaded"] == 201
    assert seen["imported"] == ["a"]
    assert seen["downloaded"] == [200, True]
    assert "filename*=UTF-8''%C3%A4.eml" in seen["name"]
    assert seen["part"] == [206, "Subject: ", seen["part"][2]]
    assert seen["part"][2].startswith("bytes 0-8/")
    assert seen["tooLarge"] == [413, "maxSizeUpload"]
    assert seen["nobody"][0] == 401
    assert 'Basic realm="mailhive"' in seen["nobody"][1]
    assert seen["nowhere"] == 404
    assert seen["ticket"]
    # Each of these was asked for first, without a login.
    log = server.log()
    for path in ("/.well-known/jmap", "/jmap/api", "/jmap/upload/", "/jmap/download/"):
        assert f" - OPTIONS {path}" in log
    assert " alice OPTIONS " not in log


def test_nobody_is_let_in_without_a_setting(page, start, origin, other_origin):
    server = start("")
    for each in (origin, other_origin):
        assert attempt(page, server, each) == REFUSED
    # Nor may it go without asking first.
    assert (
        page.run(
            """
        return fetch(args[0], { method: "POST", body: "{}" }).then((a) => a.status, String);
        """,
            server.base_url + "/jmap/api",
        )
        == REFUSED
    )
    assert " - OPTIONS /.well-known/jmap 204" in server.log()
    assert " alice " not in server.log()


@pytest.mark.parametrize("lines", ['allowed-origins = "*"', PERMISSIVE_HEADERS])
def test_everybody_is_let_in(page, start, origin, other_origin, lines):
    server = start(lines)
    works(page, server, origin)
    assert attempt(page, server, other_origin) == "logged in"


@pytest.mark.parametrize(
    "lines",
    [
        'allowed-origins = ["https://web.example", "ORIGIN"]',
        'headers = "Access-Control-Allow-Origin: ORIGIN"',
    ],
)
def test_one_origin_is_let_in(page, start, origin, other_origin, lines):
    server = start(lines.replace("ORIGIN", origin))
    assert attempt(page, server, other_origin) == REFUSED
    works(page, server, origin)
    # Nor does one get what the browser keeps of the other's answers.
    assert attempt(page, server, other_origin) == REFUSED


def test_a_page_of_the_server_itself_needs_no_permission(page, start):
    server = start("")
    page.open(server.base_url.replace("http://", "http://alice:wonderland@") + "/jmap/session")
    assert page.run("return (await fetch(location.origin + '/jmap/session')).status") == 200


def test_a_login_that_the_browser_keeps_is_nobody_elses(page, start, origin):
    """It was typed into the browser's own dialogue, which adds it by itself from then on."""
    server = start(f"allowed-origins = '{origin}'")
    url = f"{server.base_url}/jmap"
    socket = """
        const socket = new WebSocket(args[0], "jmap");
        return new Promise((resolve) => {
          socket.onopen = () => { resolve("open"); socket.close(); };
          socket.onclose = ({ code }) => resolve(code);
        });
    """
    page.open(url.replace("http://", "http://alice:wonderland@") + "/session")
    socket_url = url.replace("http", "ws", 1) + "/ws"
    assert page.run(socket, socket_url) == "open"
    page.open(origin)
    assert page.run(socket, socket_url) == 1006
    assert "alice GET /jmap/ws 403" in server.log()
    tried = page.run(
        """
        const options = { credentials: "include" };
        const events = new EventSource(args[0] + "/eventsource?types=*&closeafter=no&ping=0",
                                       { withCredentials: true });
        return Promise.all([
          fetch(args[0] + "/session", options).then((answer) => answer.status, String),
          fetch(args[0] + "/session").then((answer) => answer.status, String),
          new Promise((resolve) => {
            events.onopen = () => resolve("open");
            events.onerror = () => resolve(events.readyState);
          }),
        ]);
        """,
        url,
    )
    assert tried == [REFUSED, 401, 2]

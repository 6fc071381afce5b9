"""Options of Apache James that have a counterpart at the HTTP edge, each by its name there."""

import pytest
import pytest_twisted
import treq

from mailhive.testing.process import free_port

SETTINGS = """\
[server]
trusted-proxies = {proxies}
[server.listener."jmap"]
bind = "127.0.0.1:{port}"
url = "https://jmap.example.org"
protocol = "jmap"
[server.listener."mx"]
bind = "127.0.0.1:0"
protocol = "smtp"
[directory."memory"]
type = "memory"
[[directory."memory".principals]]
name = "alice"
secret = "wonderland"
{more}
[jmap]
directory = "memory"
{jmap}
"""
PROXY = '["127.0.0.1"]'


@pytest.fixture
def start(start_daemon):
    """Start a daemon with keys of `[jmap]`; the ports of its listeners."""

    def start(jmap="", port=0, proxies="[]", more=""):
        return start_daemon(SETTINGS.format(jmap=jmap, port=port, proxies=proxies, more=more))

    return start


@pytest.fixture
def session(start, http):
    """The session of a daemon with keys of `[jmap]`; or the status, if it is not 200."""

    async def session(jmap="", proxies="[]", **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{start(jmap, proxies=proxies)['jmap']}/jmap/session"
        answer = await http.get(url, auth=("alice", "wonderland"), headers=fields)
        body = await treq.json_content(answer)
        return body if answer.code == 200 else answer.code

    return session


def urls(session):
    """What the URLs of a session begin with, and that of the WebSocket does."""
    begins = {
        session[name][: session[name].index("/jmap/")]
        for name in ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl")
    }
    (prefix,) = begins
    socket = session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"]
    assert socket.endswith("/jmap/ws")
    return prefix, socket.removesuffix("/jmap/ws")


@pytest_twisted.ensureDeferred
async def test_enabled(start):
    assert start().keys() == {"jmap", "mx"}
    assert start("enabled = false").keys() == {"mx"}


@pytest_twisted.ensureDeferred
async def test_jmap_port(start, http):
    port = free_port()
    start(port=port)
    answer = await http.get(f"http://127.0.0.1:{port}/.well-known/jmap")
    await answer.content()
    assert answer.code == 401


@pytest.mark.parametrize(
    ("jmap", "expected"),
    [
        ("", ("https://jmap.example.org", "wss://jmap.example.org")),
        ('url-prefix = "http://a.example:81/b"', ("http://a.example:81/b", "ws://a.example:81/b")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_url_prefix(session, jmap, expected):
    assert urls(await session(jmap)) == expected


@pytest_twisted.ensureDeferred
async def test_websocket_url_prefix(session):
    found = urls(await session('websocket-url-prefix = "wss://socket.example:444"'))
    assert found == ("https://jmap.example.org", "wss://socket.example:444")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_JMAP_PREFIX": "http://new-domain/prefix"},
         ("http://new-domain/prefix", "ws://new-domain/prefix")),
        ({"X_JMAP_WEBSOCKET_PREFIX": "ws://new-domain/prefix"},
         ("https://jmap.example.org", "ws://new-domain/prefix")),
        ({"X_JMAP_PREFIX": "http://new-domain/prefix",
          "X_JMAP_WEBSOCKET_PREFIX": "wss://other-domain"},
         ("http://new-domain/prefix", "wss://other-domain")),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_dynamic_jmap_prefix_resolution_enabled(session, headers, expected):
    here = ("https://jmap.example.org", "wss://jmap.example.org")
    assert urls(await session("dynamic-prefix = true", PROXY, **headers)) == expected
    assert urls(await session("dynamic-prefix = true", **headers)) == here
    assert urls(await session("", PROXY, **headers)) == here


@pytest_twisted.ensureDeferred
async def test_dynamic_jmap_prefix_that_is_no_url(session):
    assert await session("dynamic-prefix = true", PROXY, X_JMAP_PREFIX="nonsense") == 400


@pytest_twisted.ensureDeferred
async def test_jmap_version_default(session):
    default = 'default-version = "rfc-8621"'
    assert "apiUrl" in await session(default, Accept="application/json")
    assert "apiUrl" in await session(default, Accept="application/json; jmapVersion=rfc-8621")
    assert await session(default, Accept="application/json; jmapVersion=draft") == 400


@pytest_twisted.ensureDeferred
async def test_x_real_ip_in_the_log(session, events):
    await session(proxies=PROXY, X_Real_IP="192.0.2.7")
    await session(X_Real_IP="192.0.2.7")
    assert [event["peer"] for event in events] == ["192.0.2.7", "127.0.0.1"]


@pytest_twisted.ensureDeferred
async def test_wiretap_without_credentials(start, http, events_of):
    told = events_of("mailhive.wiretap")
    port = start(more='[log]\nwiretap = ["jmap"]')["jmap"]
    url = f"http://127.0.0.1:{port}/jmap/session"
    await (await http.get(url, auth=("alice", "wonderland"))).content()
    asked, answered = (event["dump"] for event in told)
    assert asked.startswith("GET /jmap/session HTTP/1.1\n")
    assert "\nAuthorization: [redacted]" in asked
    assert '"apiUrl"' in answered


@pytest_twisted.ensureDeferred
async def test_well_known_jmap(start, http):
    url = f"http://127.0.0.1:{start()['jmap']}/.well-known/jmap"
    answer = await http.get(url, auth=("alice", "wonderland"), allow_redirects=False)
    assert (answer.code, "apiUrl" in await treq.json_content(answer)) == (200, True)

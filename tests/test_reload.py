"""Settings that change while the daemon runs, and those that cannot."""

import signal
import smtplib
import time
from http.client import HTTPConnection

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogPublisher

from mailhive.config.load import load
from mailhive.config.problems import dotted
from mailhive.errors import MailhiveError
from mailhive.reload import Reloads, changed_keys
from mailhive.testing.process import DaemonProcess

BASE = """
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
[[directory.memory.principals]]
name = "alice"
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mailhive.toml"
    path.write_text(BASE)
    return path


@pytest.fixture
def log():
    lines = []

    def observe(event):
        if event.get("log_namespace") == "mailhive.reload":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("", "", []),
        ('name = "alice"', 'name = "bob"', ["directory.memory.principals[0].name"]),
        ("#", "", []),
        ("[jmap]", "[jmap]\nhttp.headers = ['A: b']", ["jmap.http.headers"]),
        ("mx", "in", ["server.listener.in", "server.listener.mx"]),
        (":2525", ":2526", ["server.listener.mx.bind"]),
        (
            "[jmap]",
            "[jmap.limits]\nget = 3\nset = 4\n[jmap]",
            ["jmap.limits.get", "jmap.limits.set"],
        ),
        ("[jmap]", "[domain.'x.example']\ndirectory = 'memory'\n[jmap]", ['domain."x.example"']),
    ],
)
def test_changed_keys(path, old, new, keys):
    before = load(path).settings
    path.write_text(BASE.replace(old, new, 1))
    assert [dotted(key) for key in changed_keys(before, load(path).settings)] == keys


class Part:
    """Something that can change, or cannot."""

    def __init__(self):
        self.applied = []
        self.problem = None

    def prepare(self, settings):
        if self.problem is not None:
            raise MailhiveError(self.problem)
        return lambda: self.applied.append(settings)


def make(path, *parts):
    told = []
    reloads = Reloads(
        load(path).settings,
        lambda: load(path),
        lambda fn: succeed(None).addCallback(lambda _: fn()),
        told.append,
    )
    for part, keys in parts:
        reloads.add(part.prepare, *keys)
    return reloads, told


@ensureDeferred
async def test_what_can_change_does_and_the_rest_is_named(path, log):
    directories, headers = Part(), Part()
    reloads, told = make(
        path,
        (directories, ["directory", "server.listener.*.certificate"]),
        (headers, ["jmap.http"]),
    )
    changed = BASE.replace("alice", "bob").replace("[jmap]", "[jmap]\nuser-provisioning = false")
    path.write_text(changed)
    await reloads.reload()
    assert [
        part.applied[0].directory["memory"].settings.principals[0].name
        for part in (directories, headers)
    ] == ["bob", "bob"]
    assert log == [
        "Configuration reloaded; changed: directory.memory.principals[0].name",
        "These changes hold from the next start on: jmap.user-provisioning",
    ]
    assert told == ["RELOADING=1", "READY=1"]
    del log[:]
    await reloads.reload()  # what needs a restart still does
    assert log == [
        "Configuration reloaded; changed: nothing",
        "These changes hold from the next start on: jmap.user-provisioning",
    ]
    path.write_text(BASE)
    del log[:]
    await reloads.reload()
    assert log == ["Configuration reloaded; changed: directory.memory.principals[0].name"]


@pytest.mark.parametrize("broken", ["[jmap", BASE + "[x]\n[y]\n", BASE.replace("127", "x")])
@ensureDeferred
async def test_a_broken_configuration_changes_nothing_and_is_told_in_one_line(path, log, broken):
    part = Part()
    reloads, told = make(path, (part, ["directory"]))
    path.write_text(broken)
    await reloads.reload()
    assert part.applied == []
    [line] = log
    assert line.startswith(f"Configuration not reloaded, all stays as it was: {path}:")
    assert "\n" not in line
    assert told == ["RELOADING=1", "READY=1"]
    path.write_text(BASE)
    await reloads.reload()
    assert len(part.applied) == 1


@ensureDeferred
async def test_all_change_or_none(path, log):
    first, second = Part(), Part()
    reloads, _ = make(path, (first, ["directory"]), (second, ["jmap"]))
    second.problem = "the file is not\nthere"
    await reloads.reload()
    assert first.applied == second.applied == []
    assert log == ["Configuration not reloaded, all stays as it was: the file is not there"]


@ensureDeferred
async def test_one_at_a_time_and_none_is_lost(path):
    part, reading = Part(), []

    def offload(fn):
        reading.append((Deferred(), fn))
        return reading[-1][0]

    reloads = Reloads(load(path).settings, lambda: load(path), offload)
    reloads.add(part.prepare, "directory")
    done = [reloads.reload() for _ in range(3)]
    assert len(reading) == 1
    reading[0][0].callback(load(path))
    assert len(reading) == 2
    assert not done[2].called
    reading[1][0].callback(load(path))
    for deferred in done:
        await deferred
    assert len(part.applied) == 2


EVE = """[[directory."memory".principals]]
name = "eve"
email = "eve@example.org"
"""


def wait_for(text, daemon, times=1):
    deadline = time.monotonic() + 120
    while daemon.log().count(text) < times:
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.02)


def test_hangup(tmp_path):
    """SIGHUP, and the connection that was there before goes on."""
    config = tmp_path / "mailhive.toml"
    with DaemonProcess(tmp_path) as daemon:
        client = smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=100)
        client.ehlo()
        client.mail("<>")
        browser = HTTPConnection("127.0.0.1", daemon.http_port, timeout=100)
        browser.request("GET", "/")
        answer = browser.getresponse()
        answer.read()
        assert answer.headers["X-Of"] is None
        assert client.rcpt("eve@example.org")[0] == 550
        before = config.read_text()
        config.write_text(before + EVE + '[jmap.http]\nheaders = ["X-Of: the reload"]\n')
        daemon.send_signal(signal.SIGHUP)
        wait_for("Configuration reloaded; changed: directory.memory.principals[2]", daemon)
        assert client.rcpt("eve@example.org")[0] == 250
        browser.request("GET", "/")
        answer = browser.getresponse()
        answer.read()
        assert answer.headers["X-Of"] == "the reload"

        config.write_text(before + EVE + "unknown = 1\n")
        daemon.send_signal(signal.SIGHUP)
        wait_for("Configuration not reloaded, all stays as it was", daemon)
        assert client.rcpt("alice@example.org")[0] == 250
        assert client.rcpt("eve@example.org")[0] == 250

        config.write_text(before)
        daemon.send_signal(signal.SIGHUP)
        wait_for("Configuration reloaded; changed: directory.memory.principals[2]", daemon, 2)
        assert client.rcpt("eve@example.org")[0] == 550
        client.quit()
        browser.close()

"""`mailhive push`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailhive.admin.cli import main
from mailhive.model.webpush import PushKeys, PushSubscription
from mailhive.push.ledger import FILE, Entry, open_ledger
from mailhive.sqlite.connection import Connection

CONFIG = """\
[server]
data-dir = "data"
[server.listener."smtp"]
bind = ["127.0.0.1:2525"]
protocol = "smtp"
[jmap]
directory = "users"
[directory.users]
type = "memory"
"""
SECRETS = ("path-secret", "code-secret", "somebody")


def subscription(name: str, device: str) -> PushSubscription:
    return PushSubscription(
        id=name,
        device=device,
        url=f"https://somebody@push.example:8443/path-secret/{name}",
        keys=PushKeys(b"\x04" + b"p" * 64, b"auth-secret-0123"),
        code="code-secret",
        is_verified=False,
        expires=1_800_000_000_000,
        types=None,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG)
    (tmp_path / "data").mkdir()
    return path


def run(config: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["push", "list", "-c", str(config), *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_before_the_daemon_has_run(config: Path) -> None:
    assert json.loads(run(config, "--json")) == []
    assert run(config).split()[:3] == ["USER", "DEVICE", "HOST"]
    assert list((config.parent / "data").iterdir()) == []


def test_the_state_of_subscriptions(config: Path) -> None:
    connection = Connection(config.parent / "data" / FILE)
    ledger = open_ledger(connection)
    for name, device in (("P1", "phone"), ("P2", "tab\x1b[2Jlet"), ("P3", "watch")):
        ledger.add(Entry(subscription(name, device), "alice", "", signer="key", position=""))
    ledger.succeeded("P1", "", 1_000, 1_700_000_000_500, "201")
    ledger.failed("P2", 1_700_000_060_000, 1_000, "there was no answer within 30 seconds")
    connection.close()

    rows = json.loads(run(config, "--json"))
    assert [(r["device"], r["state"], r["failures"]) for r in rows] == [
        ("phone", "awaits its code", 0),
        ("tab?[2Jlet", "to be verified", 1),
        ("watch", "to be verified", 0),
    ]
    assert rows[0] == {
        "user": "alice",
        "device": "phone",
        "host": "push.example",
        "state": "awaits its code",
        "expires": "2027-01-15T08:00:00Z",
        "last-success": "2023-11-14T22:13:20Z",
        "failures": 0,
        "next-try": None,
        "result": "201",
    }
    assert rows[1]["next-try"] == "2023-11-14T22:14:20Z"
    for output in (run(config), run(config, "--json")):
        assert "no answer within 30 seconds" in output
        assert not [secret for secret in SECRETS if secret in output]
        assert "\x1b" not in output

"""`mailhive queue`."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailhive.admin.cli import main
from mailhive.model.envelope import Envelope
from mailhive.model.outbound import OutboundMessage
from mailhive.queue.ledger import FILE, open_ledger
from mailhive.queue.schedule import Next
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
FAR = 4_000_000_000_000
PARAMETERS: dict[str, str | None] = {"ENVID": "secret-envelope"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG)
    (tmp_path / "data").mkdir()
    return path


@pytest.fixture
def filled(config: Path) -> Path:
    """A message of which one recipient has been settled, one to be sent later, one held."""
    connection = Connection(config.parent / "data" / FILE)
    ledger = open_ledger(connection)
    for message_id, recipients, account, send_at in (
        ("S1", ("bob@b.example", "cyd@c.example"), "a1", None),
        ("S2", ("dee@d.example",), "a1", FAR),
        ("S3", ("eve@e.example",), None, None),
    ):
        envelope = Envelope("" if message_id == "S3" else "al@a.example", recipients, PARAMETERS)
        message = OutboundMessage(message_id, envelope, "bsecret", 1_000, account, send_at)
        destinations = {address: address.partition("@")[2] for address in recipients}
        ledger.add(message, destinations, message_id == "S3", 1_000)
    ledger.note("S1", [Next("bob@b.example", "yes", "250 2.0.0 Ok", None, host="mx.b.example")])
    ledger.note("S1", [Next("cyd@c.example", "queued", "450 4.0.0 L\x1b[2Jater", FAR)])
    connection.close()
    return config


def run(config: Path, *words: str, fails: bool = False) -> str:
    result = CliRunner().invoke(main, ["queue", *words, "-c", str(config)])
    assert (result.exit_code != 0) == fails, result.output
    assert "\x1b" not in result.output and "secret" not in result.output
    return result.output


def ledger_says(config: Path, what: str, *args: Any) -> Any:
    connection = Connection(config.parent / "data" / FILE)
    try:
        return getattr(open_ledger(connection), what)(*args)
    finally:
        connection.close()


def test_before_the_daemon_has_run(config: Path) -> None:
    assert json.loads(run(config, "list", "--json")) == []
    assert run(config, "retry", "--all") == "0 messages\n"
    for words in (("show", "S1"), ("retry", "S1"), ("cancel", "S1")):
        assert 'there is no message "S1"' in run(config, *words, fails=True)
    assert list((config.parent / "data").iterdir()) == []


def test_who_waits(filled: Path) -> None:
    heading, *rows = run(filled, "list").splitlines()
    assert heading.split()[:4] == ["ID", "FROM", "TO", "DESTINATION"]
    assert [row.split() for row in rows] == [
        [
            *("S1", "al@a.example", "cyd@c.example", "c.example", "1", "2096-10-02T07:06:40Z"),
            *("450", "4.0.0", "L?[2Jater"),
        ],
        [
            *("S2", "al@a.example", "dee@d.example", "d.example", "0", "2096-10-02T07:06:40Z"),
            *("250", "2.0.0", "Accepted,", "on", "its", "way"),
        ],
        [
            *("S3", "<>", "eve@e.example", "e.example", "0", "-"),
            *("250", "2.0.0", "Accepted,", "on", "its", "way"),
        ],
    ]
    found = json.loads(run(filled, "list", "--json"))
    assert [message["state"] for message in found] == ["queued", "queued", "being submitted"]
    assert found[1]["send-at"] == "2096-10-02T07:06:40Z"
    shown = json.loads(run(filled, "show", "S1", "--json"))
    assert shown == found[0]
    assert shown == {
        "id": "S1",
        "sender": "al@a.example",
        "account": "a1",
        "submitted": "1970-01-01T00:00:01Z",
        "send-at": None,
        "state": "queued",
        "recipients": [
            {
                "address": "bob@b.example",
                "destination": "b.example",
                "delivered": "yes",
                "attempts": 1,
                "next-try": None,
                "reply": "250 2.0.0 Ok",
                "host": "mx.b.example",
            },
            {
                "address": "cyd@c.example",
                "destination": "c.example",
                "delivered": "queued",
                "attempts": 1,
                "next-try": "2096-10-02T07:06:40Z",
                "reply": "450 4.0.0 L?[2Jater",
                "host": "",
            },
        ],
    }
    text = run(filled, "show", "S1")
    assert "to: bob@b.example\n    destination: b.example\n    delivered: yes\n" in text


def test_retry(filled: Path) -> None:
    assert "either ids or --all" in run(filled, "retry", fails=True)
    assert "either ids or --all" in run(filled, "retry", "S1", "--all", fails=True)
    assert 'no message "S9"' in run(filled, "retry", "S1", "S9", fails=True)
    assert ledger_says(filled, "due", FAR - 1, (), 9) == []
    assert run(filled, "retry", "S1") == "1 message\n"
    assert ledger_says(filled, "due", FAR - 1, (), 9) == [("S1", "c.example")]
    # What is to be sent later is not sent now, and what is held is held.
    found = json.loads(run(filled, "retry", "--all", "--json"))
    tries = [recipient["next-try"] for message in found for recipient in message["recipients"]]
    assert [tries[0], *tries[2:]] == [None, "2096-10-02T07:06:40Z", None]
    assert ledger_says(filled, "due", FAR - 1, (), 9) == [("S1", "c.example")]


def test_reschedule(filled: Path) -> None:
    assert "either ids or --all" in run(filled, "reschedule", "--at", "2h", fails=True)
    assert "--at" in run(filled, "reschedule", "S1", fails=True)
    assert '"soon" is no time; allowed' in run(
        filled, "reschedule", "--at", "soon", "S1", fails=True
    )
    found = json.loads(
        run(filled, "reschedule", "--all", "--at", "2050-01-01T01:00:00+01:00", "--json")
    )
    tries = [recipient["next-try"] for message in found for recipient in message["recipients"]]
    # What is settled is, what is to be sent later stays until then, and what is held is held.
    assert tries == [None, "2050-01-01T00:00:00Z", "2096-10-02T07:06:40Z", None]
    assert run(filled, "reschedule", "--at", "2h", "S1") == "1 message\n"
    now = int(time.time() * 1000)
    assert ledger_says(filled, "due", now + 7_100_000, (), 9) == []
    assert ledger_says(filled, "due", now + 7_200_000, (), 9) == [("S1", "c.example")]


def test_cancel(filled: Path) -> None:
    assert 'no message "S9"' in run(filled, "cancel", "S1", "S9", fails=True)
    assert run(filled, "cancel", "S1") == "S1: cyd@c.example\n"
    assert json.loads(run(filled, "cancel", "S1", "S2", "S3", "--json")) == [
        {"id": "S1", "canceled": []},
        {"id": "S2", "canceled": ["dee@d.example"]},
        {"id": "S3", "canceled": ["eve@e.example"]},
    ]
    assert json.loads(run(filled, "list", "--json")) == []
    # Those with an EmailSubmission are there until it says so.
    assert ledger_says(filled, "untold") == ["S1", "S2"]
    shown = json.loads(run(filled, "show", "S1", "--json"))
    assert shown["state"] == "done"
    assert [(r["delivered"], r["reply"]) for r in shown["recipients"]] == [
        ("yes", "250 2.0.0 Ok"),
        ("no", "554 5.0.0 Canceled by an operator"),
    ]
    assert json.loads(run(filled, "show", "S2", "--json"))["state"] == "canceled"
    assert 'no message "S3"' in run(filled, "show", "S3", fails=True)
    assert ledger_says(filled, "held") == []


def test_what_comes_of_an_attempt_that_was_under_way(filled: Path) -> None:
    run(filled, "cancel", "S1", "S2")
    put_off = Next("dee@d.example", "queued", "450 4.0.0 Later", FAR, "delayed")
    refused = Next("dee@d.example", "no", "550 5.0.0 No", None, "failed")
    for late in (put_off, refused):
        assert not ledger_says(filled, "note", "S2", [late])
    assert ledger_says(filled, "status", "S2").is_canceled
    assert ledger_says(filled, "reports", "S2") == []
    assert ledger_says(filled, "note", "S2", [Next("dee@d.example", "yes", "250 2.0.0 Ok", None)])
    status = ledger_says(filled, "status", "S2")
    assert status.has_left and not status.is_canceled

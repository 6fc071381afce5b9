"""`mailhive push`: who is told of changes at a URL, and whether that works."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from mailhive.admin.common import (
    config_option,
    date,
    json_option,
    load_settings,
    one_line,
    print_json,
    print_table,
    printable,
    work_as_owner,
)
from mailhive.push.ledger import FILE, Entry, open_ledger
from mailhive.sqlite.connection import Connection

__all__ = ["push"]

_STATES = {
    "new": "to be verified",
    "sent": "awaits its code",  # the client has to send back what was pushed
    "verified": "verified",
}
_KEYS = (
    *("user", "device", "host", "state", "expires"),
    *("last-success", "failures", "next-try", "result"),
)


@click.group()
def push() -> None:
    """Look at push subscriptions, also while the daemon runs."""


@push.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List every push subscription.

    Of its URL only the host is shown: whoever knows the whole of it may push.
    FAILURES are those in a row, RESULT is what the last push came to, and NEXT
    TRY has a time while there is something to be tried again.
    """
    settings = load_settings(config)
    with one_line():
        found = [_described(entry) for entry in _entries(settings.server.data_dir)]
    if as_json:
        print_json(found)
        return
    rows = [[key.upper().replace("-", " ") for key in _KEYS]]
    for described in found:
        values = (described[key] for key in _KEYS)
        rows.append(["-" if value is None else str(value) for value in values])
    print_table(rows)


def _entries(data_dir: Path) -> list[Entry]:
    path = data_dir / FILE
    work_as_owner(data_dir)
    if not path.exists():  # the daemon has never run
        return []
    connection = Connection(path)
    try:
        return open_ledger(connection).entries()
    finally:
        connection.close()


def _described(entry: Entry) -> dict[str, Any]:
    made = entry.subscription
    return {
        "user": entry.owner,
        "device": printable(made.device),
        "host": urlsplit(made.url).hostname,
        "state": _STATES[entry.state],
        "expires": date(made.expires),
        "last-success": date(entry.succeeded_at),
        "failures": entry.failures,
        "next-try": date(entry.due_at) if entry.failures else None,
        "result": entry.outcome,
    }

"""`mailhive queue`: messages on their way out."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

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
from mailhive.config.units import parse_duration
from mailhive.model.utcdate import parse_date
from mailhive.queue.ledger import FILE, Ledger, open_ledger
from mailhive.queue.view import QueuedMessage, QueuedRecipient, queued
from mailhive.sqlite.connection import Connection

__all__ = ["queue"]

_HEADING = ("ID", "FROM", "TO", "DESTINATION", "ATTEMPTS", "NEXT TRY", "LAST REPLY")
_HELD = {"new": "being submitted", "held": "being canceled"}  # by a client, in this moment


@click.group()
def queue() -> None:
    """Look at messages on their way out, and change what becomes of them.

    Whether the daemon runs or not: it notices a change within seconds.  A message has the id of
    its EmailSubmission, if it has one.
    """


def _command(function: Callable[..., None]) -> Any:
    """Make a function of the ledger and options a subcommand."""

    @config_option
    @json_option
    @wraps(function)
    def command(config: Path, **options: Any) -> None:
        data_dir = load_settings(config).server.data_dir
        with one_line(), _opened(data_dir) as ledger:
            function(ledger, **options)

    return queue.command(function.__name__.rstrip("_"))(command)


@_command
def list_(ledger: Ledger | None, as_json: bool) -> None:
    """List who waits for a message, those first that wait longest.

    NEXT TRY is empty while a client is submitting or canceling the message.
    """
    found = [] if ledger is None else queued(ledger.connection)
    if as_json:
        print_json([_described(message) for message in found])
        return
    rows: list[Sequence[str]] = [_HEADING]
    rows += [
        _row(message, recipient)
        for message in found
        for recipient in message.recipients
        if recipient.delivered == "queued"
    ]
    print_table(rows)


@_command
@click.argument("message_id", metavar="ID")
def show(ledger: Ledger | None, message_id: str, as_json: bool) -> None:
    """Show a message and what has become of each recipient, not what it says."""
    [message] = _found(ledger, [message_id])
    described = _described(message)
    if as_json:
        print_json(described)
        return
    recipients = described.pop("recipients")
    for key, value in described.items():
        click.echo(f"{key}: {'-' if value is None else value}")
    for recipient in recipients:
        click.echo(f"\nto: {recipient.pop('address')}")
        for key, value in recipient.items():
            click.echo(f"    {key}: {'-' if value in (None, '') else value}")


@_command
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every message of the queue.")
def retry(ledger: Ledger | None, ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Try messages now that wait for another attempt.

    One that is to be sent later, as its sender wants it, stays until then.
    """
    now = int(time.time() * 1000)
    _change_each(ledger, ids, everything, as_json, lambda to, each: to.expedite(each, now))


@_command
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every message of the queue.")
@click.option(
    "--at",
    metavar="TIME",
    required=True,
    callback=lambda _, __, text: _time(text),
    help='When: "2h" from now, or "2027-01-31T08:00:00Z".',
)
def reschedule(
    ledger: Ledger | None, ids: tuple[str, ...], everything: bool, at: int, as_json: bool
) -> None:
    """Have messages wait for a time of yours instead of the next attempt.

    They are not sent before; and one that is to be sent later, as its sender wants it, not
    before then.  How long is tried in all stays.
    """
    _change_each(ledger, ids, everything, as_json, lambda to, each: to.reschedule(each, at))


@_command
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def cancel(ledger: Ledger | None, ids: tuple[str, ...], as_json: bool) -> None:
    """Cancel messages: who has not got them yet never will.

    The EmailSubmission says so, if there is one; the sender gets no delivery report.  Who is
    being handed the message at this moment may get it.
    """
    canceled = []
    for message in _found(ledger, ids):
        assert ledger is not None
        canceled.append({"id": message.id, "canceled": ledger.revoke(message.id)})
    if as_json:
        print_json(canceled)
        return
    for one in canceled:
        click.echo(f"{one['id']}: {', '.join(map(printable, one['canceled'])) or 'nobody'}")


def _change_each(
    ledger: Ledger | None,
    ids: tuple[str, ...],
    everything: bool,
    as_json: bool,
    change: Callable[[Ledger, str], None],
) -> None:
    """Change when messages, or all of them, are attempted, and print which."""
    if everything == bool(ids):
        raise click.UsageError("Give either ids or --all.")
    if everything:
        ids = () if ledger is None else tuple(m.id for m in queued(ledger.connection))
    for message in _found(ledger, ids):
        assert ledger is not None
        change(ledger, message.id)
    if as_json:
        print_json([_described(message) for message in _found(ledger, ids)])
    else:
        click.echo(f"{len(ids)} message{'s' * (len(ids) != 1)}")


def _time(text: str) -> int:
    """Milliseconds since 1970 of a time or of a duration from now."""
    with suppress(ValueError):
        return int((time.time() + parse_duration(text)) * 1000)
    try:
        return parse_date(text)
    except ValueError:
        allowed = 'allowed is a duration, as "2h", or a time, as "2027-01-31T08:00:00Z"'
        raise click.BadParameter(f'"{printable(text)}" is no time; {allowed}') from None


@contextmanager
def _opened(data_dir: Path) -> Iterator[Ledger | None]:
    """The ledger; None if the daemon has never run."""
    work_as_owner(data_dir)
    path = data_dir / FILE
    if not path.exists():
        yield None
        return
    connection = Connection(path)
    try:
        yield open_ledger(connection)
    finally:
        connection.close()


def _found(ledger: Ledger | None, ids: Sequence[str]) -> list[QueuedMessage]:
    found = []
    for message_id in dict.fromkeys(ids):
        messages = [] if ledger is None else queued(ledger.connection, message_id)
        if not messages:
            raise click.ClickException(f'there is no message "{printable(message_id)}"')
        found += messages
    return found


def _row(message: QueuedMessage, recipient: QueuedRecipient) -> tuple[str, ...]:
    return (
        message.id,
        printable(message.sender) or "<>",
        printable(recipient.address),
        printable(recipient.destination) or "-",
        str(recipient.attempts),
        date(recipient.next_try) or "-",
        printable(recipient.reply),
    )


def _described(message: QueuedMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "sender": printable(message.sender),
        "account": message.account_id,
        "submitted": date(message.submitted_at),
        "send-at": date(message.send_at),
        "state": _state(message),
        "recipients": [
            {
                "address": printable(recipient.address),
                "destination": printable(recipient.destination),
                "delivered": recipient.delivered,
                "attempts": recipient.attempts,
                "next-try": date(recipient.next_try),
                "reply": printable(recipient.reply),
                "host": printable(recipient.host),
            }
            for recipient in message.recipients
        ],
    }


def _state(message: QueuedMessage) -> str:
    if message.state != "ready":
        return _HELD.get(message.state, message.state)
    return "queued" if any(r.delivered == "queued" for r in message.recipients) else "done"

"""`mailhive token`: tokens for programs that send one with each request."""

import time
from typing import Any

import click

from mailhive.admin.common import editing, json_option
from mailhive.admin.credentials import DURATION, print_credentials, scope_option
from mailhive.auth.tokens import TokenKey
from mailhive.config.settings import Settings
from mailhive.model.credential import TOKEN

__all__ = ["token"]


@click.group()
def token() -> None:
    """Make, list and remove tokens, also while the daemon runs.

    A token is a signed JSON Web Token, for "Authorization: Bearer". The strategy "jwt"
    of jmap.authentication takes it until it expires or is removed. The directory has to
    be of type "internal".

    Exit status: 0 done, 1 refused or failed, 2 wrong usage.
    """


_subcommand = editing(token)


@_subcommand
@click.argument("name")
@click.argument("label")
@scope_option
@click.option("--expires", type=DURATION, help="After how long, as 90d; else never.")
def add(
    settings: Settings,
    editor: Any,
    name: str,
    label: str,
    services: tuple[str, ...],
    expires: float | None,
) -> None:
    """Make a token of an account and print it, for the only time.

    LABEL says what it is for, such as "archive script".
    """
    key = TokenKey.of(settings)
    key.open()
    now = int(time.time())
    until = None if expires is None else now + int(expires)
    own_name = editor.principal(name).name
    click.echo(key.sign(own_name, editor.add_token(name, label, services, until), now, until))


@_subcommand
@click.argument("name", required=False)
@json_option
def list_(_: Settings, editor: Any, name: str | None, as_json: bool) -> None:
    """List the tokens of an account, or of all, without what is secret."""
    print_credentials(editor.credentials(TOKEN, name), as_json=as_json)


@_subcommand
@click.argument("name")
@click.argument("label")
def remove(_: Settings, editor: Any, name: str, label: str) -> None:
    """Remove a token: it lets nobody in from this moment on."""
    editor.remove_credential(TOKEN, name, label)
    click.echo(f'Removed the token "{label}" of "{name}".')

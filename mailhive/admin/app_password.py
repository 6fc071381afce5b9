"""`mailhive app-password`: passwords for one program each."""

from typing import Any

import click

from mailhive.admin.common import editing, json_option
from mailhive.admin.credentials import print_credentials, scope_option
from mailhive.config.settings import Settings
from mailhive.model.credential import APP_PASSWORD

__all__ = ["app_password"]


@click.group("app-password")
def app_password() -> None:
    """Make, list and remove app passwords, also while the daemon runs.

    An app password is made up here and shown once. It lets one program log in as an
    account, to some services only, and can be removed without a change of the password.
    The directory has to be of type "internal".

    Exit status: 0 done, 1 refused or failed, 2 wrong usage.
    """


_subcommand = editing(app_password)


@_subcommand
@click.argument("name")
@click.argument("label")
@scope_option
def add(_: Settings, editor: Any, name: str, label: str, services: tuple[str, ...]) -> None:
    """Make an app password of an account and print it, for the only time.

    LABEL says what it is for, such as "phone".
    """
    click.echo(editor.add_app_password(name, label, services))


@_subcommand
@click.argument("name", required=False)
@json_option
def list_(_: Settings, editor: Any, name: str | None, as_json: bool) -> None:
    """List the app passwords of an account, or of all, without what is secret."""
    print_credentials(editor.credentials(APP_PASSWORD, name), as_json=as_json)


@_subcommand
@click.argument("name")
@click.argument("label")
def remove(_: Settings, editor: Any, name: str, label: str) -> None:
    """Remove an app password: it lets nobody in from this moment on."""
    editor.remove_credential(APP_PASSWORD, name, label)
    click.echo(f'Removed the app password "{label}" of "{name}".')

"""`mailhive check`: what a configuration file amounts to."""

from pathlib import Path

import click

from mailhive.config.describe import describe
from mailhive.config.load import load
from mailhive.errors import MailhiveError

__all__ = ["check"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Print the effective settings of FILE, or everything that is wrong with it.

    Secrets are masked. Behind each setting is where it comes from: a line of
    the file, or the default. Exits with status 1 if the file cannot be used.
    """
    try:
        config = load(file)
    except MailhiveError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
    for setting in describe(config):
        origin = "default" if setting.line is None else f"{file}:{setting.line}"
        click.echo(f"{setting.key} = {setting.value}  # {origin}")
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)

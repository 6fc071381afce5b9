"""What the subcommands share: the configuration file, and errors of one line."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from mailhive.config.load import load
from mailhive.config.settings import Settings
from mailhive.errors import MailhiveError
from mailhive.model.utcdate import format_utc_date

__all__ = [
    "config_option",
    "date",
    "editing",
    "json_option",
    "load_settings",
    "one_line",
    "opened",
    "print_json",
    "print_table",
    "printable",
    "work_as_owner",
]

#: Where the configuration file is looked for, if nothing says where it is.
PLACES = ("mailhive.toml", "etc/mailhive.toml", "/etc/mailhive/mailhive.toml")


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-c FILE`, as its argument `config`."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar="MAILHIVE_CONFIG",
        default=_first_there,
        metavar="FILE",
        help="The configuration file. Without it, MAILHIVE_CONFIG names it, or the first of "
        f"{', '.join(PLACES)} that is there.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def editing(group: click.Group) -> Callable[[Callable[..., None]], Any]:
    """Make a function of settings, an `IDirectoryEditor` and options a subcommand of `group`."""

    def make(function: Callable[..., None]) -> Any:
        @config_option
        @click.option("--directory", metavar="NAME", help="Another one than jmap.directory names.")
        @wraps(function)
        def command(config: Path, directory: str | None, **options: Any) -> None:
            with opened(config, directory) as (settings, editor):
                function(settings, editor, **options)

        return group.command(function.__name__.rstrip("_"))(command)

    return make


@contextmanager
def opened(config: Path, directory: str | None) -> Iterator[tuple[Settings, Any]]:
    """The settings, and the `IDirectoryEditor` of a directory, by default of the one in use."""
    settings = load_settings(config)
    name = directory or settings.jmap.directory
    table = settings.directory.get(name)
    if table is None:
        raise click.ClickException(f'{config} has no table [directory."{name}"]')
    if table.provider.edit is None:
        raise click.ClickException(
            f'directory "{name}" of {config} is of type "{table.type}"; this command changes '
            'those of type "internal"'
        )
    with one_line():
        work_as_owner(settings.server.data_dir)
        editor = table.provider.edit(table.settings, settings.server.data_dir)
        try:
            yield settings, editor
        finally:
            editor.close()


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first of which is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def printable(text: str) -> str:
    """Words of a stranger, which must not reach a terminal as they are."""
    return "".join(c if c.isprintable() else "?" for c in text)


def date(millis: int | None) -> str | None:
    """A time, to the second, if there is one."""
    return None if millis is None else format_utc_date(millis // 1000 * 1000)


def _first_there() -> Path:
    return next((path for path in map(Path, PLACES) if path.exists()), Path(PLACES[0]))


def load_settings(config: Path) -> Settings:
    """The settings of a file."""
    with one_line():
        return load(config).settings


@contextmanager
def one_line() -> Iterator[None]:
    """Turn an error that a person can mend into its message and exit status 1."""
    try:
        yield
    except MailhiveError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror}") from None


def work_as_owner(data_dir: Path) -> None:
    """Root becomes the user that owns the data directory.

    What is made there would otherwise be root's, and of no use to the daemon.
    """
    if os.geteuid() == 0 and data_dir.exists():
        owner = data_dir.stat()
        if owner.st_uid:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)

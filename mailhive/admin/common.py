"""What the subcommands share: the configuration file, and errors of one line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mailhive.config.load import load
from mailhive.config.settings import Settings
from mailhive.errors import MailhiveError

__all__ = ["config_option", "load_settings", "one_line", "work_as_owner"]

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

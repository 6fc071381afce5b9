"""The `mailhive` command itself."""

import click

from mailhive import __version__
from mailhive.admin.account import account
from mailhive.admin.app_password import app_password
from mailhive.admin.check import check
from mailhive.admin.dkim import dkim
from mailhive.admin.dns import dns
from mailhive.admin.push import push
from mailhive.admin.queue import queue
from mailhive.admin.token import token

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailhive", message="%(prog)s %(version)s")
def main() -> None:
    """Look after a mailhive mail daemon.  `twistd mailhive` runs it."""


for command in (account, app_password, check, dkim, dns, push, queue, token):  # a module each
    main.add_command(command)

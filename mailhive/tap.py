"""The `twistd mailhive` command."""

import os
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized

from mailhive import __version__
from mailhive.app import build, supervise
from mailhive.config.load import LoadedConfig, load
from mailhive.errors import MailhiveError
from mailhive.logs import json_line, line_observer, text_line

__all__ = ["Options", "makeService"]


_log = Logger()


class Options(usage.Options):
    """Reads the configuration while the command line is, so that its mistakes end up there."""

    synopsis = "[options]"
    longdesc = "A mail daemon: mail in and out by SMTP, read and written by JMAP."
    optParameters = [["config", "c", "mailhive.toml", "The configuration file."]]  # noqa: RUF012

    loaded: LoadedConfig

    def opt_version(self) -> None:
        """Print the version of mailhive and exit."""
        print(f"mailhive {__version__}")  # noqa: T201
        raise SystemExit(0)

    def postOptions(self) -> None:
        try:
            self.loaded = load(Path(self["config"]))
        except MailhiveError as error:
            raise SystemExit(str(error)) from None


def makeService(options: Options, reactor: Any = None) -> IService:
    """The daemon, bound to its addresses."""
    if reactor is None:
        from twisted.internet import reactor
    make = build if options.loaded.settings.server.workers == 1 else supervise
    try:
        daemon = make(options.loaded, reactor)
    except MailhiveError as error:
        raise SystemExit(f"mailhive: {error}") from None
    for warning in options.loaded.warnings:
        _log.warn("{warning}", warning=str(warning))
    parent = _Root()
    twistd: Any = getattr(options, "parent", None)
    if twistd and not twistd.get("syslog"):
        line = json_line if options.loaded.settings.log.format == "json" else text_line
        parent.observer = line_observer(line, twistd, reactor)
    daemon.setServiceParent(parent)
    return parent


class _Root(MultiService):
    """Makes an error that a person can mend one message and exit status 1."""

    observer: ILogObserver | None = None  # to write the log

    def setServiceParent(self, parent: Any) -> None:
        super().setServiceParent(parent)
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)

    def startService(self) -> None:
        try:
            super().startService()
        except MailhiveError as error:
            _log.critical("Cannot start: {error}", error=str(error))
            os._exit(1)  # a plain exit would wait for threads of what has started already

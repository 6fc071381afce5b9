"""The directories that the configuration chooses: opened, changed while in use, closed."""

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from mailhive.config.settings import Settings
from mailhive.config.tables import DirectorySettings
from mailhive.errors import MailhiveError
from mailhive.mail.directories import Directories, Routes
from mailhive.model.addresses import canonical_domain

__all__ = ["DirectoryService"]

#: Seconds that a directory which was replaced stays open for questions under way.
GRACE = 60.0

_log = Logger()


class DirectoryService(Service):
    """`directories` are open while this runs.  `make(table)` makes an `IDirectory`.

    One may have `open()`, `close()` and `reload()`, which makes it forget what it
    keeps in memory of somewhere else.
    """

    def __init__(
        self, settings: Settings, make: Callable[[DirectorySettings], Any], clock: Any
    ) -> None:
        self._make = make
        self._clock = clock  # IReactorTime
        self._tables = _used(settings)
        made = {name: make(table) for name, table in self._tables.items()}
        self.directories = Directories(_routes(settings, made))
        self._leaving: dict[Any, Any] = {}  # those that were replaced, and when they are closed

    def startService(self) -> None:
        """Open them; `MailhiveError` if one cannot be."""
        for directory in self.directories.routes.directories.values():
            _call(directory, "open")
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Close them."""
        super().stopService()
        for call in self._leaving.values():
            call.cancel()
        every = [*self.directories.routes.directories.values(), *self._leaving]
        self._leaving = {}
        return DeferredList([self._close(directory) for directory in every])

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Get ready for other settings (`mailhive.reload`).

        A directory whose table is the same stays, and is told to `reload`.
        """
        tables = _used(settings)
        present = self.directories.routes.directories
        made, new = {}, []
        try:
            for name, table in tables.items():
                if self._tables.get(name) == table:
                    made[name] = present[name]
                else:
                    made[name] = self._make(table)
                    _call(made[name], "open")
                    new.append(made[name])
        except MailhiveError:
            for directory in new:
                self._close(directory)
            raise

        def apply() -> None:
            gone = [one for name, one in present.items() if made.get(name) is not one]
            for name, directory in made.items():
                if directory is present.get(name):
                    _call(directory, "reload")
            self._tables = tables
            self.directories.routes = _routes(settings, made)
            for directory in gone:
                self._leaving[directory] = self._clock.callLater(GRACE, self._leave, directory)

        return apply

    def _leave(self, directory: Any) -> None:
        del self._leaving[directory]
        self._close(directory)

    def _close(self, directory: Any) -> Deferred[Any]:
        closed = maybeDeferred(_call, directory, "close")
        return closed.addErrback(
            lambda failure: _log.failure("A directory did not close cleanly", failure)
        )


def _used(settings: Settings) -> dict[str, DirectorySettings]:
    names = [settings.jmap.directory, *(d.directory for d in settings.domain.values())]
    return {name: settings.directory[name] for name in names}


def _routes(settings: Settings, directories: dict[str, Any]) -> Routes:
    domains = {
        canonical_domain(domain) or "": chosen.directory
        for domain, chosen in settings.domain.items()
    }
    return Routes(directories, settings.jmap.directory, domains)


def _call(directory: Any, method: str) -> Any:
    return getattr(directory, method, lambda: None)()

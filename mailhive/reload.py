"""Taking over a changed configuration while everything runs, as SIGHUP asks for.

Whoever can change while it runs says so, by the keys that it goes by:

    reloads.add(self.prepare, "directory", "domain", "jmap.directory")

`prepare(settings)` looks at the new settings and gets ready what can fail, without a
change of anything that is in use, and returns what makes the change; or it raises
`MailhiveError`.  Only when all are ready all change, so settings that cannot be
used leave everything as it was.  No connection is touched.

A key is written with dots, `*` for any one name, and stands for all below it.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailhive.config.load import LoadedConfig
from mailhive.config.problems import ConfigError, KeyPath, dotted
from mailhive.config.settings import Settings
from mailhive.config.structure import keys_of
from mailhive.config.walk import tables, tables_inside
from mailhive.errors import MailhiveError

__all__ = ["Prepare", "Reloads", "changed_keys"]

#: New settings to what puts them in force; `MailhiveError` if that cannot be.
Prepare = Callable[[Settings], Callable[[], None]]

_SHOWN = 10

_log = Logger()


@frozen
class _Part:
    prepare: Prepare
    keys: tuple[tuple[str, ...], ...]

    def covers(self, path: KeyPath) -> bool:
        return any(
            len(path) >= len(key)
            and all(wanted in ("*", part) for wanted, part in zip(key, path, strict=False))
            for key in self.keys
        )


class Reloads:
    """What can change.  `settings` are those in force; `read()` reads the file, and blocks.

    `offload(function)` runs something on a thread; `notify(state)` tells the service
    manager.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], LoadedConfig],
        offload: Callable[..., Deferred[Any]],
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._started = settings
        self._current = settings
        self._read = read
        self._offload = offload
        self._notify = notify
        self._parts: list[_Part] = []
        self._waiting: list[Deferred[None]] = []
        self._busy = False

    def add(self, prepare: Prepare, *keys: str) -> None:
        """Call `prepare` at each reload; it is answerable for these keys."""
        self._parts.append(_Part(prepare, tuple(tuple(key.split(".")) for key in keys)))

    def reload(self) -> Deferred[None]:
        """Read the configuration again and go by it; tells the log what came of it.

        Asked for while one is under way, another follows it.  Fires when it is done.
        """
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return done

    async def _work(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            await self._reload()
            for done in waiting:
                done.callback(None)
        self._busy = False

    async def _reload(self) -> None:
        self._notify("RELOADING=1")
        try:
            loaded = await self._offload(self._read)
            applied = [part.prepare(loaded.settings) for part in self._parts]
        except MailhiveError as error:
            _log.error("Configuration not reloaded, all stays as it was: {why}", why=_line(error))
        except Exception:
            _log.failure("Configuration not reloaded, all stays as it was")
        else:
            self._apply(applied)
            self._tell(loaded)
            self._current = loaded.settings
        finally:
            self._notify("READY=1")

    def _apply(self, applied: list[Callable[[], None]]) -> None:
        for apply in applied:
            try:
                apply()
            except Exception:  # the others change all the same: they were ready to
                _log.failure("A part of the configuration is not in force")

    def _tell(self, loaded: LoadedConfig) -> None:
        new = loaded.settings
        taken = [path for path in changed_keys(self._current, new) if self._covers(path)]
        _log.info("Configuration reloaded; changed: {keys}", keys=_listed(taken) or "nothing")
        left = [path for path in changed_keys(self._started, new) if not self._covers(path)]
        if left:
            _log.warn("These changes hold from the next start on: {keys}", keys=_listed(left))
        for warning in loaded.warnings:
            _log.warn("{warning}", warning=str(warning))

    def _covers(self, path: KeyPath) -> bool:
        return any(part.covers(path) for part in self._parts)


def changed_keys(old: Settings, new: Settings) -> list[KeyPath]:
    """The keys that differ; a table that only one has stands for all that is in it."""
    before, after = _tables(old), _tables(new)
    alone = before.keys() ^ after.keys()
    changed = [path for path in alone if path[:-1] not in alone]
    for path in before.keys() & after.keys():
        names = before[path].keys() | after[path].keys()
        changed += [
            (*path, name) for name in names if before[path].get(name) != after[path].get(name)
        ]
    return sorted(changed, key=dotted)


def _tables(settings: Settings) -> dict[KeyPath, dict[str, Any]]:
    """Each table's keys and values, without the tables in it."""
    found: dict[KeyPath, dict[str, Any]] = {}
    for path, table in tables(settings):
        values = found.setdefault(path, {})
        for key, field in keys_of(type(table)).items():
            value = getattr(table, field.name)
            if not isinstance(value, dict) and not any(tables_inside(value, ())):
                values[key] = value
    return found


def _listed(paths: list[KeyPath]) -> str:
    more = ", …" if len(paths) > _SHOWN else ""
    return ", ".join(map(dotted, paths[:_SHOWN])) + more


def _line(error: MailhiveError) -> str:
    """One line, the first mistake of a configuration that has several."""
    if isinstance(error, ConfigError):
        more = len(error.problems) - 1
        return f"{error.problems[0]}" + (f" (and {more} more)" if more else "")
    return " ".join(str(error).split())

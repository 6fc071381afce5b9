"""Reading a configuration file: all of its mistakes at once, or settings to rely on."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, frozen

from mailhive.config.checks import check
from mailhive.config.fields import FilePath
from mailhive.config.locate import locate
from mailhive.config.problems import ConfigError, KeyPath, Problem
from mailhive.config.settings import Settings
from mailhive.config.structure import Mistakes, converter
from mailhive.config.tables import BlobSettings, StoreSettings
from mailhive.config.walk import tables

__all__ = ["LoadedConfig", "load", "load_table"]

T = TypeVar("T")


@frozen
class LoadedConfig:
    """A file that was read: its settings, the line of each key in it, and doubts about it."""

    path: Path
    settings: Settings
    lines: dict[KeyPath, int]
    warnings: tuple[Problem, ...] = ()


def load(path: Path) -> LoadedConfig:
    """Read the file; `ConfigError` holds everything that is wrong with it.

    Nothing is started or made.  Files that it names are read as far as checking
    them needs.
    """
    path = path.absolute()
    text, document = _parse(path)
    lines = locate(text)
    mistakes = Mistakes()
    with mistakes.at():
        base = path.parent.resolve()
        settings = converter(base).structure(document, Settings)
        settings = _complete(settings, base)
    mistakes.found += check(document)
    if mistakes.found:
        raise ConfigError(
            [Problem(path, _line(lines, where), where, what) for where, what in mistakes.found]
        )
    warnings = [
        Problem(path, _line(lines, (*where, *key)), (*where, *key), message)
        for where, table in tables(settings)
        for key, message in getattr(table, "warnings", tuple)()
    ]
    return LoadedConfig(path, settings, lines, tuple(warnings))


def load_table(path: Path, cls: type[T]) -> T:
    """Read a file that has the keys of the table that `cls` describes; `ConfigError`."""
    text, document = _parse(path)
    mistakes = Mistakes()
    with mistakes.at():
        made: T = converter(path.parent).structure(document, cls)
    if mistakes.found:
        lines = locate(text)
        raise ConfigError(
            [Problem(path, _line(lines, where), where, what) for where, what in mistakes.found]
        )
    return made


def _parse(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(path, 0, (), message)]) from error
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        message = "is not UTF-8 text; TOML is"
        raise ConfigError([Problem(path, line, (), message)]) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).rpartition(" (at ")
        at = re.match(r"line (\d+)", where)
        line = int(at[1]) if at else text.count("\n") + 1  # at the end of the document
        message = f"{what[:1].lower()}{what[1:]}; allowed is TOML 1.0"
        raise ConfigError([Problem(path, line, (), message)]) from error
    except RecursionError as error:
        message = "is nested too deeply; allowed is what a person would write"
        raise ConfigError([Problem(path, 0, (), message)]) from error


def _complete(settings: Settings, base: Path) -> Settings:
    """Add the tables that need not be written, and make the default path absolute."""
    return evolve(
        settings,
        server=evolve(settings.server, data_dir=FilePath(base / settings.server.data_dir)),
        store={"sqlite": StoreSettings.of("sqlite", "sqlite")} | settings.store,
        blob={"files": BlobSettings.of("files", "fs")} | settings.blob,
    )


def _line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of a key, or of the table that it is missing from."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)

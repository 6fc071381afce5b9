"""Parsed TOML to settings classes: cattrs chooses by type, this collects every mistake."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os.path import normpath
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import attrs
import cattrs

from mailhive.config.endpoints import Inherited, SocketAddress, parse_bind
from mailhive.config.fields import FilePath, HttpHeader, Location, WorkerCount, location
from mailhive.config.jmap import JmapSettings
from mailhive.config.problems import KeyPath
from mailhive.config.tables import ProviderSettings
from mailhive.config.units import Duration, Size, parse_duration, parse_size
from mailhive.config.values import exactly, header, one_of, quoted, table, workers
from mailhive.model.networks import Network, Networks, parse_network
from mailhive.registry import ProviderError, is_import_path, provider, provider_names

__all__ = ["Mistakes", "converter", "keys_of"]


class Mistakes(ValueError):
    """Several things wrong with a value: where in it, and what."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[KeyPath, str]] = []

    def add(self, key: str | int, message: str) -> None:
        self.found.append(((key,), message))

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Collect what is wrong with the value there, and go on."""
        try:
            yield
        except Mistakes as inner:
            self.found += [(path + below, message) for below, message in inner.found]
        except (ValueError, TypeError) as error:
            self.found.append((path, str(error.args[0]) if error.args else "is not allowed"))
        except ProviderError as error:
            self.found.append((path, str(error)))

    def check(self) -> None:
        """Raise these if there are any."""
        if self.found:
            raise self


def keys_of(cls: type) -> "dict[str, attrs.Attribute[Any]]":
    """The keys of the table that `cls` describes, with their types resolved."""
    return {
        field.name.replace("_", "-"): field
        for field in attrs.fields(attrs.resolve_types(cls))
        if field.metadata.get("key", True)
    }


def converter(base: Path) -> cattrs.Converter:
    """Structures settings; the relative paths of a `FilePath` start at `base`, a real path."""
    conv = cattrs.Converter()
    for scalar in (str, bool, int, float):
        conv.register_structure_hook(scalar, exactly)
    conv.register_structure_hook(Size, lambda value, _: parse_size(value))
    conv.register_structure_hook(Duration, lambda value, _: parse_duration(value))
    conv.register_structure_hook(
        FilePath, lambda value, _: Path(normpath(base / exactly(value, str)))
    )
    conv.register_structure_hook(Location, lambda value, _: location(exactly(value, str), base))
    conv.register_structure_hook(Path, lambda value, _: Path(exactly(value, str)))
    conv.register_structure_hook(WorkerCount, lambda value, _: workers(value))
    conv.register_structure_hook(HttpHeader, lambda value, _: header(value))
    conv.register_structure_hook_func(
        lambda cls: cls == SocketAddress | Inherited, lambda value, _: parse_bind(value)
    )
    conv.register_structure_hook_func(
        lambda cls: cls == Network, lambda value, _: parse_network(exactly(value, str))
    )
    tables = _Tables(conv, base)
    conv.register_structure_hook(
        Networks, lambda value, _: Networks(tables.list_of(value, tuple[Network, ...]))
    )
    conv.register_structure_hook_func(_is(Literal), one_of)
    conv.register_structure_hook_func(_is(tuple), tables.list_of)
    conv.register_structure_hook_func(_is(dict), tables.named)
    conv.register_structure_hook_func(attrs.has, tables.table)
    return conv


def _is(origin: Any) -> Callable[[Any], bool]:
    return lambda cls: get_origin(cls) is origin


class _Tables:
    """The hooks for everything that holds other values."""

    def __init__(self, conv: cattrs.Converter, base: Path) -> None:
        self.conv = conv
        self.base = base

    def list_of(self, value: Any, cls: Any) -> tuple[Any, ...]:
        item = get_args(cls)[0]
        if isinstance(value, dict):
            raise ValueError("is a table; allowed is a list, of tables written [[…]]")
        if not isinstance(value, list):  # one value stands for a list of it
            return (self.conv.structure(value, item),)
        mistakes, made = Mistakes(), []
        for index, element in enumerate(value):
            with mistakes.at(index):
                made.append(self.conv.structure(element, item))
        mistakes.check()
        return tuple(made)

    def named(self, value: Any, cls: Any) -> dict[str, Any]:
        item = get_args(cls)[1]
        mistakes, made = Mistakes(), {}
        for name, element in table(value).items():
            with mistakes.at(name):
                if isinstance(item, type) and issubclass(item, ProviderSettings):
                    made[name] = self.provider(name, table(element), item)
                else:
                    made[name] = self.conv.structure(element, item)
        mistakes.check()
        return made

    def table(self, value: Any, cls: type) -> Any:
        mistakes, rest = Mistakes(), dict(table(value))
        more = self.strategies(rest, mistakes) if cls is JmapSettings else {}
        made = self.take(cls, rest, mistakes)
        _refuse(rest, [cls], mistakes)
        return _make(cls, {**made, **more}, mistakes)

    def take(self, cls: type, rest: dict[str, Any], mistakes: Mistakes) -> dict[str, Any]:
        """Structure those keys of `rest` that `cls` describes, and remove them from it."""
        made = {}
        for key, field in keys_of(cls).items():
            source = key
            if field.metadata.get("secret") and f"{key}-file" in rest:
                source = f"{key}-file"
            elif key not in rest:
                if field.default is attrs.NOTHING:
                    mistakes.add(key, "is missing")
                continue
            with mistakes.at(source):
                value = rest.pop(source)
                if source != key:
                    if key in rest:
                        del rest[key]
                        raise ValueError(f"is given beside {key}; allowed is one of the two")
                    value = self.read_secret(value)
                structured = self.conv.structure(value, field.type or str)
                _validate(field, structured)
                made[field.alias or field.name] = structured
        return made

    def provider(self, name: str, value: dict[str, Any], cls: type[ProviderSettings]) -> Any:
        """A table whose further keys depend on the provider that it chooses."""
        mistakes, rest = Mistakes(), dict(value)
        made = self.take(cls, rest, mistakes)
        kind, own, settings = made.get(cls.chooser), None, None
        if kind is not None:
            with mistakes.at(cls.chooser):
                own = _chosen(cls.role, kind).settings
        if own is not None:
            given = self.take(own, rest, mistakes)
            _refuse(rest, [cls, own], mistakes)
            settings = _make(own, given, mistakes)
        return _make(cls, {**made, "name": name, "settings": settings}, mistakes)

    def strategies(self, rest: dict[str, Any], mistakes: Mistakes) -> dict[str, Any]:
        """The settings of every authentication strategy asked for, taken out of `rest`."""
        asked = rest.get("authentication", attrs.fields(JmapSettings).authentication.default)
        asked = list(asked) if isinstance(asked, list | tuple) else [asked]
        made = {}
        for name in asked:
            if isinstance(name, str):
                with mistakes.at("authentication"):
                    own = _chosen("authentication", name).settings
                    with mistakes.at(name):
                        made[name] = self.table(rest.pop(name, {}), own)
        for name in provider_names("authentication"):
            if rest.pop(name, None) is not None:
                mistakes.add(name, "does nothing; allowed when jmap.authentication names it")
        return {"strategies": made}

    def read_secret(self, name: Any) -> str:
        """The content of a file, without the line end behind it."""
        try:
            return (self.base / exactly(name, str)).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise ValueError(f'"{name}" cannot be read: {error.strerror}') from error
        except UnicodeDecodeError as error:
            raise ValueError(f'"{name}" cannot be read; allowed is UTF-8 text') from error


def _validate(field: "attrs.Attribute[Any]", value: Any) -> None:
    if field.validator is not None:
        try:
            field.validator(None, field, value)
        except ValueError as error:  # those of attrs begin with the attribute's name
            message = str(error.args[0]).removeprefix(f"'{field.name}' ")
            raise ValueError(message) from error


def _chosen(role: str, name: str) -> Any:
    if is_import_path(name):
        return provider(role, name)
    if name not in (names := provider_names(role)):
        raise ValueError(f"{quoted([name])} is not known; allowed: {quoted(names)}")
    return provider(role, name)


def _make(cls: type, values: dict[str, Any], mistakes: Mistakes) -> Any:
    """An instance of `cls`, unless something is wrong already."""
    mistakes.check()
    with mistakes.at():
        made = cls(**values)
        mistakes.found += getattr(made, "problems", tuple)()
    mistakes.check()
    return made


def _refuse(rest: Iterable[str], classes: list[type], mistakes: Mistakes) -> None:
    """Whatever is left of a table is not known."""
    allowed = []
    for cls in classes:
        for key, field in keys_of(cls).items():
            allowed += [key, f"{key}-file"] if field.metadata.get("secret") else [key]
    for key in rest:
        close = get_close_matches(key, allowed, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"allowed: {', '.join(allowed)}"
        mistakes.add(key, f"is not a known key; {hint}" if allowed else "is not a known key")

"""The effective settings, one by one, each with where it comes from."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import attrs
from attrs import frozen

from mailhive.config.load import LoadedConfig
from mailhive.config.problems import KeyPath, dotted
from mailhive.config.structure import keys_of
from mailhive.config.units import Duration, Size, format_duration, format_size

__all__ = ["Setting", "describe"]

_MASK = '"********"'


@frozen
class Setting:
    """One key: its value as TOML, and the line it was read from, None for a default."""

    path: KeyPath
    value: str
    line: int | None

    @property
    def key(self) -> str:
        return dotted(self.path)


def describe(config: LoadedConfig) -> Iterator[Setting]:
    """Every setting in the order of the reference; secrets are masked."""
    yield from _table(config, (), config.settings)


def _table(config: LoadedConfig, path: KeyPath, made: Any) -> Iterator[Setting]:
    for key, field in keys_of(type(made)).items():
        value = getattr(made, field.name)
        here = (*path, key)
        if field.metadata.get("secret") and value:
            source = here if here in config.lines else (*path, f"{key}-file")
            yield Setting(here, _MASK, config.lines.get(source))
        else:
            yield from _value(config, here, value, field.type)
    for name, settings in getattr(made, "strategies", {}).items():
        yield from _table(config, (*path, name), settings)
    if getattr(made, "settings", None) is not None:
        yield from _table(config, path, made.settings)


def _value(config: LoadedConfig, path: KeyPath, value: Any, kind: Any) -> Iterator[Setting]:
    if attrs.has(type(value)) and keys_of(type(value)) and not hasattr(value, "overlaps"):
        yield from _table(config, path, value)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _value(config, (*path, name), item, None)
    elif isinstance(value, tuple) and value and attrs.has(item := _item(kind)):
        for index, element in enumerate(value):
            yield from _value(config, (*path, index), element, item)
    else:
        yield Setting(path, _toml(value, _plain(kind)), config.lines.get(path))


def _toml(value: Any, kind: Any) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if kind is Size:
        return f'"{format_size(value)}"'
    if kind is Duration:
        return f'"{format_duration(value)}"'
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple) and get_origin(kind) is tuple:
        return "[" + ", ".join(_toml(element, _item(kind)) for element in value) + "]"
    text = ": ".join(value) if isinstance(value, tuple) else str(value)  # an HttpHeader
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _item(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def _plain(kind: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(kind) in (Union, UnionType):
        rest = [arg for arg in get_args(kind) if arg is not NoneType]
        return rest[0] if len(rest) == 1 else kind
    return kind

"""The effective settings, one by one, each with where it comes from."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from attrs import frozen

from mailhive.config.load import LoadedConfig
from mailhive.config.problems import KeyPath, dotted
from mailhive.config.structure import keys_of
from mailhive.config.units import Duration, Size, format_duration, format_size
from mailhive.config.walk import tables, tables_inside
from mailhive.model.networks import Networks

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
    """Every setting, table by table; secrets are masked."""
    for path, table in tables(config.settings):
        for key, field in keys_of(type(table)).items():
            value, here = getattr(table, field.name), (*path, key)
            if isinstance(value, dict) or any(tables_inside(value, here)):
                continue
            if field.metadata.get("secret") and value is not None:
                source = here if here in config.lines else (*path, f"{key}-file")
                yield Setting(here, _MASK, config.lines.get(source))
            else:
                yield Setting(here, _toml(value, _plain(field.type)), config.lines.get(here))


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
    if isinstance(value, Networks):
        return "[" + ", ".join(f'"{network}"' for network in value) + "]"
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

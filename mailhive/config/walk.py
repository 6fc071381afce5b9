"""Going through settings table by table."""

from collections.abc import Iterator
from typing import Any

import attrs

from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.problems import KeyPath
from mailhive.config.structure import keys_of

__all__ = ["tables", "tables_inside"]


def tables(table: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """This table and each below it, with its path.

    A table that chose a provider is followed by the provider's own settings,
    which are of the same path.
    """
    yield path, table
    if (own := getattr(table, "settings", None)) is not None:
        yield from tables(own, path)
    for key, field in keys_of(type(table)).items():
        yield from tables_inside(getattr(table, field.name), (*path, key))
    for name, strategy in getattr(table, "strategies", {}).items():
        yield from tables(strategy, (*path, name))


def tables_inside(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """The tables that a key's value is or holds."""
    if isinstance(value, dict | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in pairs:
            yield from tables_inside(item, (*path, name))
    elif attrs.has(type(value)) and not isinstance(value, SocketAddress | Inherited):
        yield from tables(value, path)

"""Writes docs/configuration.md from the settings classes.

python -m mailhive.config.reference docs/configuration.md
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from mailhive.config.delivery import DeliverySettings
from mailhive.config.dkim import DkimSettings
from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.fields import FilePath, HttpHeader, Location, WorkerCount
from mailhive.config.forward import ForwardSettings
from mailhive.config.greylist import GreylistSettings
from mailhive.config.jmap import JmapSettings
from mailhive.config.log import LogSettings
from mailhive.config.milter import MilterSettings
from mailhive.config.relay import QueueSettings, RelaySettings
from mailhive.config.settings import DomainSettings, ServerSettings, StorageSettings
from mailhive.config.structure import keys_of
from mailhive.config.tables import (
    BlobSettings,
    DirectorySettings,
    ListenerSettings,
    ProviderSettings,
    StoreSettings,
)
from mailhive.config.units import Duration, Size, format_duration, format_size
from mailhive.model.networks import Networks
from mailhive.registry import providers

__all__ = ["reference"]

_HEAD = """\
# Configuration

<!-- Written by `python -m mailhive.config.reference`; change the settings classes instead. -->

mailhive reads one TOML file, given to it as `twistd mailhive -c FILE`.
`mailhive check FILE` prints the effective settings, or every mistake at once,
each with its line. Nothing is ignored: an unknown key is a mistake as well.

- **Size**: a whole number and a unit, as in `"10M"`. Units are decimal: `B` is
  one octet, `K` 1,000, `M` 1,000,000 and `G` 1,000,000,000. A number alone is octets.
- **Duration**: a whole number and `s`, `m`, `h` or `d`, as in `"5m"`. A number
  alone is seconds.
- **File**: a path, relative to the configuration file.
- **Address**: `"127.0.0.1:25"`, `"[::1]:25"` or `"systemd:NAME"`. `"[::]:25"`
  takes IPv4 connections as well, unless an IPv4 address is bound to that port too.
- **Network**: an address or a network, as in `"192.0.2.1"`, `"10.0.0.0/8"` or `"2001:db8::/32"`.
- Where a **list** is expected, one value alone stands for a list of it.
- A **secret** may be given as the content of a file instead, under `KEY-file`.
- `NAME` in the name of a table is yours to choose.
"""

_TYPES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Size: "size",
    Duration: "duration",
    FilePath: "file",
    Location: "file or URL",
    Path: "path",
    HttpHeader: "`Name: Value`",
    SocketAddress | Inherited: "address",
    Networks: "list of networks",
    WorkerCount: "number, or `auto`",
}


_TYPES_MANY = {
    str: "strings",
    FilePath: "files",
    HttpHeader: "`Name: Value`",
    SocketAddress | Inherited: "addresses",
}


def reference() -> str:
    """The whole document, for what mailhive itself provides."""
    return _HEAD + "".join(_document())


def _document() -> Iterator[str]:
    yield from _section("server", ServerSettings)
    yield from _chosen("server.listener.NAME", ListenerSettings)
    yield from _section("log", LogSettings)
    yield from _section("storage", StorageSettings)
    yield from _chosen("store.NAME", StoreSettings)
    yield from _chosen("blob.NAME", BlobSettings)
    yield from _chosen("directory.NAME", DirectorySettings)
    yield from _section('domain."example.org"', DomainSettings)
    yield from _section("jmap", JmapSettings)
    for name, provider in _own("authentication").items():
        if keys_of(provider.settings):
            yield from _section(f"jmap.{name}", provider.settings)
    yield from _section("delivery", DeliverySettings)
    yield from _section("queue", QueueSettings)
    yield from _section("relay", RelaySettings)
    yield from _section("dkim.NAME", DkimSettings)
    yield from _section("milter.NAME", MilterSettings)
    yield from _section("greylist", GreylistSettings)
    yield from _section('forward."list@example.org"', ForwardSettings)


def _chosen(table: str, cls: type[ProviderSettings]) -> Iterator[str]:
    yield from _section(table, cls)
    for name, provider in _own(cls.role).items():
        if keys_of(provider.settings):
            heading = f'`[{table}]` with `{cls.chooser} = "{name}"`'
            yield from _section(table, provider.settings, f"### {heading}")
        else:
            yield f'\n### `[{table}]` with `{cls.chooser} = "{name}"`\n\n{_text(provider.settings)}'


def _own(role: str) -> dict[str, Any]:
    """The providers of mailhive itself; other packages document theirs."""
    return {
        name: provider
        for name, provider in providers(role).items()
        if provider.settings.__module__.startswith("mailhive.")
    }


def _section(table: str, cls: type, heading: str | None = None) -> Iterator[str]:
    plain, below = [], []
    for key, field in keys_of(cls).items():
        inner = _table_of(field.type)
        if inner is None:
            plain.append(_row(key, field))
        elif not issubclass(inner, ProviderSettings):
            is_dict = get_origin(field.type) is dict
            # Tables that the user names are named by domains where they are no providers'.
            name = "." + field.metadata.get("named", '"example.org"') if is_dict else ""
            below.append((f"{table}.{key}{name}", inner, get_origin(field.type) is tuple))
    yield f"\n{heading or f'## `[{table}]`'}\n\n{_text(cls)}"
    if plain:
        yield "\n| key | type | default | |\n|---|---|---|---|\n"
        yield from plain
    for name, inner, repeated in below:
        yield from _section(name, inner, f"### `[[{name}]]`" if repeated else f"### `[{name}]`")


def _row(key: str, field: "attrs.Attribute[Any]") -> str:
    name = f"`{key}`, `{key}-file`" if field.metadata.get("secret") else f"`{key}`"
    text = field.metadata["doc"].replace("|", "\\|")
    return f"| {name} | {_type(field.type)} | {_default(field)} | {text} |\n"


def _type(kind: Any) -> str:
    if kind in _TYPES:
        return _TYPES[kind]
    if get_origin(kind) is tuple:
        return f"list of {_TYPES_MANY.get(get_args(kind)[0], _type(get_args(kind)[0]))}"
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return _type(next(arg for arg in get_args(kind) if arg is not NoneType))
    raise TypeError(f"no word for the type {kind}")


def _default(field: "attrs.Attribute[Any]") -> str:
    if "default" in field.metadata:
        return str(field.metadata["default"])
    default = field.default
    if default is attrs.NOTHING:
        return "required"
    if default is None:
        return "none"
    kind = next((arg for arg in get_args(field.type) if arg is not NoneType), field.type)
    if Size in (field.type, kind):
        return f"`{format_size(default)}`"
    if Duration in (field.type, kind):
        return f"`{format_duration(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default == "":
        return '`""`'
    if isinstance(default, tuple | Networks):
        return "`[" + ", ".join(f'"{item}"' for item in default) + "]`"
    return f"`{default}`"


def _table_of(kind: Any) -> type | None:
    """The class of a table, of tables with names or of a list of tables."""
    for candidate in (kind, *get_args(kind)):
        if isinstance(candidate, type) and attrs.has(candidate) and keys_of(candidate):
            return None if candidate in (SocketAddress, Inherited) else candidate
    return None


def _text(cls: type) -> str:
    text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    # What the heading says already, as in "`basic`: login and password".
    text = re.sub(r"^`[^`]*`: ", "", text)
    return text[:1].upper() + text[1:] + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")

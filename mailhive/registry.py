"""Providers by name, found through entry points.

mailhive's own providers are declared in its `pyproject.toml` like those of any
other package:

    [project.entry-points."mailhive.blob"]
    fs = "mailhive.blobs.fs:PROVIDER"

The name is what `type` says in the configuration.  An entry point resolves to a
`Provider`.

A provider can be named by its import path as well, `package.module:NAME`.  That may
also be a class, which is then made of its settings and the context; its attribute
`settings`, if it has one, is their class.
"""

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from attrs import frozen

from mailhive.errors import MailhiveError

__all__ = [
    "ROLES",
    "Provider",
    "ProviderError",
    "is_import_path",
    "optional_capabilities",
    "provider",
    "provider_names",
    "providers",
]

#: Role (as the configuration calls it) to what a provider of it makes.
ROLES = {
    "blob": "IBlobStore",
    "store": "IMailStore",
    "directory": "IDirectory",
    "authentication": "IAuthenticationStrategy",
    "listener": "IListenerFactory",
}


class ProviderError(MailhiveError):
    """No provider of that name, or one that cannot be loaded."""


@frozen
class NoSettings:
    """Of a provider that has no keys."""


@frozen
class Provider:
    """A named implementation of a role.

    `settings` is the attrs class of its configuration table; its attributes are
    the keys (`snake_case` for `kebab-case`).  `build(settings, context)` makes
    the provider without I/O; `context` is an `services.BuildContext`.  A directory that
    `mailhive account` can change has `edit(settings, data_dir)`, which makes an
    `IDirectoryEditor`.
    """

    settings: type
    build: Callable[[Any, Any], Any]
    edit: Callable[[Any, Any], Any] | None = None


def provider_names(role: str) -> list[str]:
    """The `type` names of a role, in alphabetical order.  Loads none of them."""
    return sorted({point.name for point in entry_points(group=f"mailhive.{role}")})


def is_import_path(name: str) -> bool:
    """Does it name a provider by where it is, and not by its entry point?"""
    return re.fullmatch(r"[\w.]+:[\w.]+", name) is not None


def provider(role: str, name: str) -> Provider:
    """The provider of a role called `name`; `ProviderError` says why there is none."""
    if is_import_path(name):
        return _made_of(name, _loaded(role, name, EntryPoint(name, name, f"mailhive.{role}")))
    points = {p.value: p for p in entry_points(group=f"mailhive.{role}", name=name)}
    if not points:
        raise ProviderError(f'there is no {role} provider "{name}"')
    if len(points) > 1:
        raise ProviderError(
            f'several packages provide {role} "{name}": '
            + " and ".join(sorted(_origin(point) for point in points.values()))
        )
    (point,) = points.values()
    found = _loaded(role, name, point)
    if not isinstance(found, Provider):
        raise ProviderError(f'{role} provider "{name}" ({_origin(point)}) is not a Provider')
    return found


def _loaded(role: str, name: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise ProviderError(
            f'{role} provider "{name}" ({_origin(point)}) cannot be loaded: {error}'
        ) from error


def _made_of(name: str, found: Any) -> Provider:
    """What an import path leads to, as a provider."""
    if isinstance(found, Provider):
        return found
    if isinstance(found, type):
        return Provider(getattr(found, "settings", NoSettings), found)
    raise ProviderError(f'"{name}" is neither a Provider nor a class')


def providers(role: str) -> dict[str, Provider]:
    """Every provider of a role by its `type` name."""
    return {name: provider(role, name) for name in provider_names(role)}


def optional_capabilities() -> list[str]:
    """The URIs of the JMAP capabilities that can be disabled.

    Those who know are found by entry point too, as the configuration, which
    asks, is below them.
    """
    points = entry_points(group="mailhive.capabilities")
    return sorted({uri for point in points for uri in point.load()()})


def _origin(point: EntryPoint) -> str:
    return f"{point.value} of {point.dist.name}" if point.dist else point.value

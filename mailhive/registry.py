"""Providers by name, found through entry points.

mailhive's own providers are declared in its `pyproject.toml` like those of any
other package:

    [project.entry-points."mailhive.blob"]
    fs = "mailhive.blobs.fs:PROVIDER"

The name is what `type` says in the configuration.  An entry point resolves to a
`Provider`.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from attrs import frozen

__all__ = ["ROLES", "Provider", "providers"]

#: Role (as the configuration calls it) to what a provider of it makes.
ROLES = {
    "blob": "IBlobStore",
    "store": "IMailStore",
    "directory": "IDirectory",
    "authentication": "IAuthenticationStrategy",
    "listener": "IListenerFactory",
}


@frozen
class Provider:
    """A named implementation of a role.

    `settings` is the attrs class of its configuration table; its attributes are
    the keys (`snake_case` for `kebab-case`).  `build(settings, context)` makes
    the provider without I/O; `context` is an `app.BuildContext`.
    """

    settings: type
    build: Callable[[Any, Any], Any]


def providers(role: str) -> dict[str, Provider]:
    """Every provider of a role by its `type` name."""
    return {point.name: point.load() for point in entry_points(group=f"mailhive.{role}")}

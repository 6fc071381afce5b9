"""Objects checked against the properties their datatype declares (RFC 8620 §5.3)."""

from collections.abc import Mapping
from typing import Any

from mailhive.jmap.errors import invalid_properties
from mailhive.jmap.registry import REQUIRED, Property
from mailhive.jmap.standard.patch import apply_patch

__all__ = ["defaults_of", "validate_create", "validate_update"]


def defaults_of(properties: Mapping[str, Property]) -> dict[str, Any]:
    """The default of every property that has one."""
    return {n: p.default for n, p in properties.items() if p.default is not REQUIRED}


def validate_create(
    data: Mapping[str, Any], properties: Mapping[str, Property]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole object to be made, and the defaults in it that the client did not send.

    `SetError` invalidProperties naming all properties that are unknown, of the
    wrong type, missing, or for the server to set.
    """
    wrong = [
        name
        for name, value in data.items()
        if name not in properties
        or properties[name].server_set
        or not properties[name].check(value)
    ]
    wrong += [
        name
        for name, declared in properties.items()
        if name not in data and declared.default is REQUIRED and not declared.server_set
    ]
    if wrong:
        raise invalid_properties(wrong)
    added = {
        name: declared.default
        for name, declared in properties.items()
        if name not in data and not declared.server_set
    }
    return {**added, **data}, added


def validate_update(
    current: Mapping[str, Any], patch: Mapping[str, Any], properties: Mapping[str, Property]
) -> dict[str, Any]:
    """The object after `patch`, server-set properties included as they were.

    `current` holds every property.  `SetError` invalidPatch for a bad path,
    invalidProperties for a value that is not allowed; a server-set or immutable
    property may be given when it is identical to what it is.
    """
    wrong = {name for path in patch if (name := path.partition("/")[0]) not in properties}
    if wrong:
        raise invalid_properties(sorted(wrong))
    patched = apply_patch(current, patch, defaults_of(properties))
    for name in {path.partition("/")[0] for path in patch}:
        declared = properties[name]
        if declared.server_set or declared.immutable:
            if name not in patched or patched[name] != current.get(name):
                wrong.update(_differences(name, current.get(name), patched.get(name)))
        elif name not in patched or not declared.check(patched[name]):
            wrong.add(name)
    if wrong:
        raise invalid_properties(sorted(wrong))
    return patched


def _differences(name: str, old: Any, new: Any) -> list[str]:
    """The paths of what is not the same: of members, if both values are objects."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [name]
    members = sorted(old.keys() | new.keys())
    return [f"{name}/{m}" for m in members if m not in old or m not in new or old[m] != new[m]]

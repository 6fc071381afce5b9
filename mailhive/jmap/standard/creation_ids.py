"""References to records created in the same request, `#creationId` (RFC 8620 §5.3)."""

from collections.abc import Mapping
from typing import Any

from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.registry import Property

__all__ = ["creation_order", "resolve_object", "resolve_patch"]


def resolve_object(
    data: Mapping[str, Any], properties: Mapping[str, Property], ids: Mapping[str, str]
) -> dict[str, Any]:
    """The object with every creation reference replaced; SetError naming those that fail."""
    resolved = dict(data)
    unknown = []
    for name, value in data.items():
        declared = properties.get(name)
        if declared is not None and declared.refers_to is not None:
            try:
                resolved[name] = _resolve_value(value, ids)
            except KeyError:
                unknown.append(name)
    if unknown:
        raise invalid_properties(unknown, "A creation id does not resolve")
    return resolved


def resolve_patch(
    patch: Mapping[str, Any], properties: Mapping[str, Property], ids: Mapping[str, str]
) -> dict[str, Any]:
    """The same for a PatchObject, in whose paths a reference can be the key of a map."""
    whole: dict[str, Any] = {}
    for path, value in patch.items():
        name, slash, key = path.partition("/")
        declared = properties.get(name)
        if slash and key.startswith("#") and declared is not None and declared.refers_to:
            if key[1:] not in ids:
                raise invalid_properties([name], f"The creation id {key!r} does not resolve")
            path = f"{name}/{ids[key[1:]]}"
        whole[path] = value
    return resolve_object(whole, properties, ids)


def creation_order(
    create: Mapping[str, Mapping[str, Any]], properties: Mapping[str, Property]
) -> list[str]:
    """The creation ids in an order in which each comes after those it refers to.

    Those of a cycle come last, where their references fail to resolve.
    """
    waits_for = {
        creation_id: _references(data, properties) & create.keys()
        for creation_id, data in create.items()
    }
    order: dict[str, None] = {}
    while len(order) < len(create):
        ready = [c for c in create if c not in order and waits_for[c] <= order.keys()]
        if not ready:
            break
        order.update(dict.fromkeys(ready))
    return [*order, *(c for c in create if c not in order)]


def _references(data: Mapping[str, Any], properties: Mapping[str, Property]) -> set[str]:
    found: set[str] = set()
    for name, value in data.items():
        declared = properties.get(name)
        if declared is not None and declared.refers_to is not None:
            candidates = value if isinstance(value, (dict, list)) else [value]
            found |= {c[1:] for c in candidates if isinstance(c, str) and c.startswith("#")}
    return found


def _resolve_value(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return ids[value[1:]] if value.startswith("#") else value
    if isinstance(value, dict):
        return {_resolve_value(key, ids): item for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve_value(item, ids) for item in value]
    return value


def resolve_id(value: str, ids: Mapping[str, str]) -> str:
    """The id behind the key of an update or an entry of destroy; notFound if it has none."""
    if not value.startswith("#"):
        return value
    if value[1:] not in ids:
        raise SetError("notFound", f"The creation id {value!r} does not resolve")
    return ids[value[1:]]

"""Which groups somebody belongs to, and so whose accounts are shared with them."""

from collections import deque
from typing import Any

from mailhive.model.principal import Principal

__all__ = ["groups_of"]


async def groups_of(directory: Any, name: str) -> tuple[Principal, ...]:
    """The groups that the principal `name` of an `IDirectory` is a member of.

    Through other groups too, the nearest first, each once.  Being on a list
    makes nobody a member of the groups that the list is on.
    """
    found: dict[str, Principal] = {}
    principal = await directory.principal(name)
    waiting = deque(principal.member_of if principal else ())
    seen = {name}
    while waiting:
        name = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        group = await directory.principal(name)
        if group is not None and group.type == "group" and group.name not in found:
            found[group.name] = group
            waiting += group.member_of
    return tuple(found.values())

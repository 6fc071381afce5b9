"""Which groups somebody belongs to, and so whose accounts are shared with them."""

from collections import deque
from typing import Any

from attrs import evolve

from mailhive.model.principal import Principal

__all__ = ["as_of_now", "groups_of"]


async def as_of_now(directory: Any, principal: Principal) -> Principal:
    """A principal who logged in some time ago, as a member of what it is a member of now."""
    found: Principal | None = await directory.principal(principal.name)
    member_of = () if found is None else found.member_of
    return principal if principal.member_of == member_of else evolve(principal, member_of=member_of)


async def groups_of(directory: Any, principal: Principal) -> tuple[Principal, ...]:
    """The groups that a principal of an `IDirectory`, which has just named it, is a member of.

    Through other groups too, the nearest first, each once.  Being on a list
    makes nobody a member of the groups that the list is on.
    """
    if not principal.member_of:
        return ()
    found: dict[str, Principal] = {}
    waiting = deque(principal.member_of)
    seen = {principal.name}
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

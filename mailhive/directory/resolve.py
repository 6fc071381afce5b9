"""From logins and addresses to principals: the same for whatever holds them."""

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from attrs import evolve, frozen

from mailhive.model.addresses import (
    canonical_address,
    canonical_domain,
    canonical_name,
    split,
)
from mailhive.model.principal import Principal

__all__ = ["Entry", "Holdings", "candidates", "find_login", "find_name", "is_local", "reached_by"]


@frozen
class Entry:
    """A principal and the stored secret, None for one who cannot log in.

    `credential` is what the password is called in `Principal.credentials`, of a directory
    that stores another hash of it on occasion.  `scram` is what it keeps beside the hash
    for SCRAM, if it does.
    """

    principal: Principal
    secret: str | None = None
    credential: str = ""
    scram: str | None = None

    @cached_property
    def user(self) -> Principal:
        """The principal as it is once it was authenticated by that secret."""
        return evolve(self.principal, credential=self.credential)


class Holdings(Protocol):
    """What a directory holds.  Names and addresses are in their canonical forms."""

    def entry(self, name: str) -> Entry | None:
        """The principal of that name."""

    def owner(self, address: str) -> str | None:
        """The name of the one whose `email` it is."""

    def reached(self, address: str) -> Sequence[str]:
        """The names of those whose address it is; `@domain` is that of a catch-all."""

    def members(self, name: str) -> "Sequence[str | Entry]":
        """The direct members of a list: their names, or what is needed to write to them."""

    def has_domain(self, domain: str) -> bool:
        """Is there an address of this domain?"""


def find_name(holdings: Holdings, name: str) -> Principal | None:
    """The principal of that name."""
    entry = holdings.entry(canonical_name(name))
    return None if entry is None else entry.principal


def find_login(holdings: Holdings, login: str) -> Entry | None:
    """The individual who logs in by that name, or by that address."""
    entry = holdings.entry(canonical_name(login))
    if entry is None:
        address = canonical_address(login)
        owner = None if address is None or address[0] == "@" else holdings.owner(address)
        entry = None if owner is None else holdings.entry(owner)
    return entry if entry is not None and entry.principal.type == "individual" else None


def candidates(
    address: str, *, subaddressing: bool = True, catch_all: bool = True
) -> tuple[str, ...]:
    """The canonical addresses that mail to one may be for: the first that somebody has."""
    canonical = canonical_address(address)
    local, domain = split(canonical or "")
    if canonical is None or not local:
        return ()
    base, mark, _ = local.partition("+")
    found = [canonical]
    if subaddressing and mark and base:
        found.append(f"{base}@{domain}")
    if catch_all:
        found.append(f"@{domain}")
    return tuple(found)


def reached_by(
    holdings: Holdings, address: str, *, subaddressing: bool = True
) -> tuple[Principal, ...]:
    """The individuals and groups that mail to an address goes to."""
    for candidate in candidates(address, subaddressing=subaddressing):
        if names := holdings.reached(candidate):
            return _with_accounts(holdings, names)
    return ()


def is_local(holdings: Holdings, domain: str) -> bool:
    """Are addresses of the domain this directory's to know?"""
    canonical = canonical_domain(domain)
    return canonical is not None and holdings.has_domain(canonical)


def _with_accounts(holdings: Holdings, names: Sequence[str]) -> tuple[Principal, ...]:
    """The individuals and groups among `names` and the members of lists among them."""
    found: dict[str, Principal] = {}
    seen: set[str] = set()
    waiting: deque[str | Entry] = deque(names)
    while waiting:
        one = waiting.popleft()
        name = one if isinstance(one, str) else canonical_name(one.principal.name)
        if name in seen:
            continue
        seen.add(name)
        entry = holdings.entry(name) if isinstance(one, str) else one
        if entry is None:
            continue
        if entry.principal.type == "list":
            waiting += holdings.members(name)
        else:
            found[name] = entry.principal
    return tuple(found.values())

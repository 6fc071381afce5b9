"""Principals found in an LDAP directory, with what they belong to."""

from collections import deque
from collections.abc import Sequence

from attrs import evolve
from sansldap import LDAPFilter

from mailhive.directory.ldap.mapping import Mapped, Mapping
from mailhive.directory.ldap.settings import LdapSettings
from mailhive.directory.ldap.templates import FilterTemplate, any_of, equals
from mailhive.directory.ldap.tree import Tree
from mailhive.errors import TemporaryFailure
from mailhive.model.addresses import canonical_address, canonical_name, domain_forms
from mailhive.model.principal import Principal

__all__ = ["Lookup"]


class Lookup:
    """Every method raises TemporaryFailure rather than guess."""

    def __init__(self, settings: LdapSettings, tree: Tree) -> None:
        self._attributes = settings.attributes
        self._most = settings.max_entries
        self._tree = tree
        self._mapping = Mapping(settings)
        domain, enabled = settings.filter.domain, settings.filter.enabled
        self._domain = FilterTemplate(domain, "domain") if domain else None
        self._enabled = FilterTemplate(enabled).fill() if enabled else None

    async def called(self, name: str) -> Mapped | None:
        """The entry whose name that is."""
        entries = await self._search(self._mapping.called(name))
        return _only(_named(entries, name), name)

    async def logging_in_as(self, login: str) -> Mapped | None:
        """The individual whose name or own address that is.  One search, found or not."""
        wanted = [self._mapping.called(login)]
        address = canonical_address(login)
        if address is not None and address[0] != "@":
            wanted.append(self._mapping.having([address]))
        entries = await self._search(any_of(wanted))
        found = _named(entries, login) or [entry for entry in entries if address in entry.owned]
        entry = _only(found, login)
        return entry if entry is not None and entry.principal.type == "individual" else None

    async def having(self, addresses: Sequence[str]) -> list[Mapped]:
        """The entries with the first of these canonical addresses that there are any with."""
        entries = await self._search(self._mapping.having(addresses))
        for address in addresses:
            if found := [entry for entry in entries if address in entry.reached]:
                return found
        return []

    async def has_domain(self, domain: str) -> bool:
        """Is this canonical domain the directory's to know?"""
        if self._domain is None:
            return domain in self._mapping.domains
        forms = [self._domain.fill(domain=form) for form in domain_forms(domain)]
        return await self._tree.has(any_of(forms))

    async def with_accounts(self, entries: list[Mapped]) -> tuple[Principal, ...]:
        """The individuals and groups among some, and the members of lists among them."""
        found: dict[str, Principal] = {}
        groups: dict[str, str | None] = {}
        seen: set[str] = set()
        waiting = deque(entries)
        while waiting:
            entry = waiting.popleft()
            if entry.dn in seen:
                continue
            seen.add(entry.dn)
            if len(seen) > self._most:
                raise TemporaryFailure(f"a list has more than {self._most} members")
            if entry.principal.type == "list":
                waiting += await self._members(entry)
            else:
                found[entry.dn] = await self.whole(entry, groups)
        return tuple(found.values())

    async def whole(self, entry: Mapped, known: dict[str, str | None] | None = None) -> Principal:
        """The principal of an entry, with what it is a direct member of.

        `known` keeps the names of groups by what entries call them, within one question.
        """
        known = {} if known is None else known
        if self._attributes.member_of:
            for value in entry.member_of:
                if value not in known:
                    known[value] = _group_name(await self._referred(value))
            names = [known[value] for value in entry.member_of]
        else:
            groups = await self._search(_naming(self._attributes.member, entry))
            names = [_group_name(group) for group in groups]
        member_of = tuple(name for name in dict.fromkeys(names) if name is not None)
        return evolve(entry.principal, member_of=member_of, enabled=await self._is_enabled(entry))

    async def _members(self, group: Mapped) -> list[Mapped]:
        """The direct members of a list."""
        if self._attributes.member_of:
            return await self._search(_naming(self._attributes.member_of, group))
        members = [await self._referred(value) for value in group.members]
        return [member for member in members if member is not None]

    async def _referred(self, value: str) -> Mapped | None:
        """The principal that an entry refers to: by the name of its entry, or by its own."""
        if "=" not in value:
            return await self.called(value)
        entry = await self._tree.read(value, self._mapping.wanted)
        return None if entry is None else self._mapping.mapped(entry)

    async def _is_enabled(self, entry: Mapped) -> bool:
        if self._enabled is None or entry.principal.type != "individual":
            return True
        return await self._tree.fits(entry.dn, self._enabled)

    async def _search(self, wanted: LDAPFilter) -> list[Mapped]:
        entries = await self._tree.search(wanted, self._mapping.wanted)
        return [found for entry in entries if (found := self._mapping.mapped(entry)) is not None]


def _named(entries: list[Mapped], name: str) -> list[Mapped]:
    """Those of that very name: servers find more, as with spaces around it."""
    canonical = canonical_name(name)
    return [entry for entry in entries if canonical_name(entry.principal.name) == canonical]


def _only(entries: list[Mapped], what: str) -> Mapped | None:
    """The one entry, or None; TemporaryFailure if nobody can tell which of several is meant."""
    if len(entries) > 1:
        names = " and ".join(f'"{entry.dn}"' for entry in entries[:2])
        raise TemporaryFailure(f'"{what}" can be {names}')
    return entries[0] if entries else None


def _naming(attributes: tuple[str, ...], entry: Mapped) -> LDAPFilter:
    """What finds the entries that refer to another in one of these attributes."""
    called = (entry.dn, entry.principal.name)
    return any_of([equals(attribute, value) for attribute in attributes for value in called])


def _group_name(entry: Mapped | None) -> str | None:
    return None if entry is None or entry.principal.type == "individual" else entry.principal.name

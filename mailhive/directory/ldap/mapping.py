"""Entries of an LDAP directory as principals."""

from collections.abc import Callable, Iterable

from attrs import frozen
from sansldap import LDAPFilter

from mailhive.config.units import parse_size
from mailhive.directory.ldap.settings import LdapSettings, LdapTypes
from mailhive.directory.ldap.templates import FilterTemplate, any_of, equals
from mailhive.directory.ldap.tree import Entry
from mailhive.directory.rules import canonical_email, name_problem
from mailhive.directory.schemes import credential_of
from mailhive.errors import TemporaryFailure
from mailhive.model.addresses import canonical_domain, canonical_name, domain_forms, split
from mailhive.model.principal import Principal

__all__ = ["Mapped", "Mapping"]


@frozen
class Mapped:
    """An entry that is a principal, but for what it is a member of.

    `reached` are the canonical addresses that it gets mail at, `owned` those of them
    that are nobody else's; `member_of` and `members` are what the entry says, names
    of entries or logins.
    """

    dn: str
    principal: Principal
    owned: frozenset[str]
    reached: frozenset[str]
    member_of: tuple[str, ...]
    members: tuple[str, ...]
    secrets: tuple[str, ...]


class Mapping:
    """What is asked for, and what is made of the answer.

    `domains` are those that the settings name, in their canonical form.
    """

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._attributes = settings.attributes
        self.domains = {canonical_domain(domain) for domain in settings.domains}
        names, own = settings.attributes, settings.filter
        self._by_name = _finder(own.name, "name", (*names.name, *names.group_name))
        self._by_address = _finder(own.email, "address", (*names.email, *names.email_list))

    @property
    def wanted(self) -> list[str]:
        """The attributes to ask for."""
        a = self._attributes
        several = (*a.name, *a.group_name, *a.description, *a.email, *a.email_list)
        several += a.member_of or a.member
        secret = a.secret if self._settings.login == "compare" else None
        one = (a.type, a.quota, a.members_may, a.mailboxes, secret)
        return list(dict.fromkeys([*several, *filter(None, one)]))

    def called(self, name: str) -> LDAPFilter:
        """What finds the entry of that name."""
        # As it was given as well: servers may fold less than we do.
        return any_of([self._by_name(form) for form in dict.fromkeys((name, canonical_name(name)))])

    def having(self, addresses: Iterable[str]) -> LDAPFilter:
        """What finds the entries with one of these canonical addresses."""
        forms = [form for address in addresses for form in _forms(address)]
        return any_of([self._by_address(form) for form in forms])

    def mapped(self, entry: Entry) -> Mapped | None:
        """The principal that an entry is, if it is one.  TemporaryFailure if that is not clear."""
        a = self._attributes
        kind = _type(entry.texts(a.type), self._settings.types)
        name = _one(entry, a.name if kind == "individual" else a.group_name)
        if kind is None or name is None or name_problem(name) is not None:
            return None
        emails = self._addresses(entry, a.email, catch_all=True)
        lists = self._addresses(entry, a.email_list, catch_all=False)
        secrets = tuple(entry.texts(a.secret)) if kind == "individual" else ()
        return Mapped(
            dn=entry.dn,
            principal=Principal(
                name=name,
                type=kind,
                description=entry.text(*a.description) or "",
                emails=tuple(emails.values()),
                quota=_quota(entry, a.quota),
                members_may=_choice(entry, a.members_may, "write", "read"),
                mailboxes=_choice(entry, a.mailboxes, "default", "inbox"),
                credentials=self._credentials(kind, secrets),
            ),
            owned=frozenset(emails),
            reached=frozenset((*emails, *lists)),
            member_of=tuple(entry.texts(*a.member_of)),
            members=tuple(entry.texts(*a.member)),
            secrets=secrets,
        )

    def _credentials(self, kind: str, secrets: tuple[str, ...]) -> frozenset[str] | None:
        """None where passwords are not ours to see."""
        if kind == "individual" and self._settings.login == "bind":
            return None
        return frozenset(map(credential_of, secrets))

    def _addresses(
        self, entry: Entry, attributes: tuple[str, ...], *, catch_all: bool
    ) -> dict[str, str]:
        """Addresses by their canonical form, those that are none or not local left out."""
        primary: dict[str, str] = {}
        others: dict[str, str] = {}
        for value in entry.texts(*attributes):
            scheme, colon, address = value.partition(":")  # as in `proxyAddresses`
            if not colon:
                scheme, address = "", value
            canonical = canonical_email(address, catch_all=catch_all)
            if scheme.lower() not in ("", "smtp") or canonical is None:
                continue
            if not self.domains or split(canonical)[1] in self.domains:
                (primary if scheme == "SMTP" else others).setdefault(canonical, address)
        return primary | others


def _forms(address: str) -> list[str]:
    local, domain = split(address)
    return [f"{local}@{form}" for form in domain_forms(domain)]


def _finder(
    template: str | None, place: str, attributes: tuple[str, ...]
) -> Callable[[str], LDAPFilter]:
    if template is not None:
        parsed = FilterTemplate(template, place)
        return lambda value: parsed.fill(**{place: value})
    distinct = list(dict.fromkeys(attributes))
    return lambda value: any_of([equals(attribute, value) for attribute in distinct])


def _type(values: list[str], types: LdapTypes) -> str | None:
    present = {value.casefold() for value in values}
    for kind in ("list", "group", "individual"):
        if present & {value.casefold() for value in getattr(types, kind)}:
            return kind
    return None


def _one(entry: Entry, attributes: tuple[str, ...]) -> str | None:
    """The value of the first of some attributes that the entry has."""
    for attribute in attributes:
        values = entry.texts(attribute)
        if len(values) > 1:
            raise TemporaryFailure(
                f'"{entry.dn}" has {len(values)} values of {attribute}, and can have one name only'
            )
        if values:
            return values[0]
    return None


def _quota(entry: Entry, attribute: str | None) -> int | None:
    text = entry.text(attribute) if attribute else None
    if text is None:
        return None
    try:
        quota = int(text) if text.isascii() and text.isdecimal() else parse_size(text)
    except ValueError as error:
        raise TemporaryFailure(f'{attribute} of "{entry.dn}" cannot be read: {error}') from error
    return quota or None


def _choice(entry: Entry, attribute: str | None, default: str, other: str) -> str:
    text = entry.text(attribute) if attribute else None
    if text is None or text.lower() == default:
        return default
    if text.lower() == other:
        return other
    allowed = f'allowed are "{default}" and "{other}"'
    raise TemporaryFailure(f'{attribute} of "{entry.dn}" cannot be read; {allowed}')

"""Where an LDAP directory is and what its entries mean, as configured."""

from collections.abc import Callable
from typing import Any, Literal

from attrs import Attribute, field, frozen
from attrs.validators import deep_iterable, optional
from cryptography.x509 import load_pem_x509_certificates

from mailhive.config.fields import FilePath, at_least, doc, lasts
from mailhive.config.problems import Found
from mailhive.config.units import Duration, Size
from mailhive.directory.cache import CacheSettings
from mailhive.directory.ldap.templates import DnTemplate, FilterTemplate
from mailhive.directory.ldap.url import LdapUrl
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = [
    "LdapAttributes",
    "LdapBind",
    "LdapFilters",
    "LdapOptions",
    "LdapPool",
    "LdapSettings",
    "LdapTls",
    "LdapTypes",
]


def _checked(check: Callable[[str], Any]) -> Any:
    """A validator for what raises ValueError when it is called with the value."""

    def validate(_: object, __: "Attribute[str]", value: str) -> None:
        check(value)

    return validate


def _each(validator: Any) -> Any:
    return deep_iterable(validator)


def _attribute(_: object, __: "Attribute[str]", value: str) -> None:
    if not value.isascii() or not value.replace("-", "a").replace(".", "0").isalnum():
        raise ValueError(f'"{value}" is no attribute; allowed is one such as "mail"')


def _domain(_: object, __: "Attribute[str]", value: str) -> None:
    canonical = canonical_domain(value)
    if not canonical or not is_domain(canonical):
        raise ValueError(f'"{value}" is no domain; allowed is one such as "example.org"')


def _given(_: object, __: "Attribute[str]", value: str) -> None:
    if not value:
        raise ValueError("is empty; allowed is to leave it out, or any text")


def _some(_: object, __: "Attribute[tuple[str, ...]]", value: tuple[str, ...]) -> None:
    if not value or "" in value:
        raise ValueError("is empty; allowed is at least one, and none that is empty")


def _names(*default: str, text: str) -> Any:
    """A key that takes names of attributes."""
    return field(default=default, validator=_each(_attribute), metadata=doc(text))


@frozen
class LdapBind:
    """Whom mailhive is to the server when it looks somebody up."""

    dn: str | None = field(
        default=None,
        validator=optional(_given),
        metadata=doc("The name to bind with; without it lookups are anonymous."),
    )
    secret: str | None = field(
        default=None,
        repr=False,
        validator=optional(_given),
        metadata=doc("Its password.", secret=True),
    )

    def problems(self) -> Found:
        if (self.dn is None) != (self.secret is None):
            # An empty password would bind nobody, and succeed (RFC 4513 §5.1.2).
            given, missing = ("dn", "secret") if self.dn is not None else ("secret", "dn")
            yield (missing,), f"is missing beside {given}; allowed are both or none"


@frozen
class LdapFilters:
    """Filters (RFC 4515). Values are put in safely, whatever they contain."""

    principals: str = field(
        default="(objectClass=*)",
        validator=_checked(FilterTemplate),
        metadata=doc("What every entry fits that counts at all; it is added to each search."),
    )
    name: str | None = field(
        default=None,
        validator=optional(_checked(lambda text: FilterTemplate(text, "name"))),
        metadata=doc(
            "Finds the entry called `{name}`.",
            default="`{name}` in one of `attributes.name` or `attributes.group-name`",
        ),
    )
    email: str | None = field(
        default=None,
        validator=optional(_checked(lambda text: FilterTemplate(text, "address"))),
        metadata=doc(
            "Finds the entries with the address `{address}`.",
            default="`{address}` in one of `attributes.email` or `attributes.email-list`",
        ),
    )
    enabled: str | None = field(
        default=None,
        validator=optional(_checked(FilterTemplate)),
        metadata=doc(
            "What an individual fits who may log in, as `(!(nsAccountLock=true))`; others still "
            "get their mail. It takes one more request for each."
        ),
    )
    domain: str | None = field(
        default=None,
        validator=optional(_checked(lambda text: FilterTemplate(text, "domain"))),
        metadata=doc(
            "Finds an entry with an address in `{domain}`, as `(mail=*@{domain})`. Whatever domain "
            "is found is local, and mail for it goes nowhere else. In place of `domains`.",
        ),
    )


@frozen
class LdapAttributes:
    """Which attributes hold what. Of several, those of the first come first."""

    name: tuple[str, ...] = _names(
        "uid",
        text="The login of an individual, and the name of its account: one value.",
    )
    group_name: tuple[str, ...] = _names("cn", text="The name of a group or list: one value.")
    type: str = field(
        default="objectClass",
        validator=_attribute,
        metadata=doc("What says of which type an entry is, see `types`."),
    )
    description: tuple[str, ...] = _names("displayName", "description", text="Free text.")
    email: tuple[str, ...] = _names(
        "mail",
        text="Addresses: the first is the primary one, `@example.org` a catch-all. `smtp:` before "
        "an address is left out, and one after `SMTP:` comes first.",
    )
    email_list: tuple[str, ...] = _names(
        text="Addresses that several entries may have, all of which get what is sent there."
    )
    member: tuple[str, ...] = _names(
        "member",
        text="Who belongs to a group or list: names of entries, or logins as in `memberUid`.",
    )
    member_of: tuple[str, ...] = _names(
        text="What somebody belongs to, such as `memberOf`: names of entries. If given it is what "
        "counts, so give it only where it is complete, as with the memberof overlay; long lists "
        "are quicker with it.",
    )
    secret: str = field(
        default="userPassword",
        validator=_attribute,
        metadata=doc(
            'The password\'s hash, or the password, for `login = "compare"`; not asked for else.'
        ),
    )
    quota: str | None = field(
        default=None,
        validator=optional(_attribute),
        metadata=doc("The most that the mail may take: octets, or a size; `0` is no limit."),
    )
    members_may: str | None = field(
        default=None,
        validator=optional(_attribute),
        metadata=doc("`read` or `write`: what members of a group may do in its account."),
    )
    mailboxes: str | None = field(
        default=None,
        validator=optional(_attribute),
        metadata=doc("`default` or `inbox`: what a new account has."),
    )


@frozen
class LdapTypes:
    """Values of `attributes.type`. An entry that has none of them does not count."""

    individual: tuple[str, ...] = field(
        default=("inetOrgPerson", "person", "posixAccount"), metadata=doc("Those who log in.")
    )
    group: tuple[str, ...] = field(
        default=("groupOfNames", "groupOfUniqueNames", "group"),
        metadata=doc("Those with an account that their members share; goes before `individual`."),
    )
    list: tuple[str, ...] = field(
        default=("mailhiveList",),
        metadata=doc("Those whose mail goes to each member; goes before the others."),
    )


@frozen
class LdapOptions:
    """How addresses are looked up that nobody has as they are."""

    catch_all: bool = field(
        default=True,
        metadata=doc("Whether `@example.org` is looked for at last."),
    )
    subaddressing: bool = field(
        default=True,
        metadata=doc("Whether mail to `user+detail@example.org` is for `user@example.org`."),
    )


@frozen
class LdapPool:
    """Connections to the server."""

    max_connections: int = field(
        default=4,
        validator=at_least(1),
        metadata=doc("The most that are open at a time for lookups, and as many for logins."),
    )


@frozen
class LdapTls:
    """Encryption on the way to the server, whose certificate is always checked, its name too."""

    starttls: bool = field(
        default=True,
        metadata=doc(
            "Whether connections to `ldap://` are encrypted before anything else is sent. Without "
            "it passwords can be read on the way."
        ),
    )
    ca: FilePath | None = field(
        default=None,
        metadata=doc(
            "PEM file of the authorities to trust, in place of those of the system.",
        ),
    )

    def problems(self) -> Found:
        if self.ca is None:
            return
        try:
            load_pem_x509_certificates(self.ca.read_bytes())
        except OSError as error:
            yield ("ca",), f"{self.ca} cannot be read: {error.strerror}"
        except ValueError:
            yield ("ca",), f"{self.ca} has no certificates; allowed is PEM"


@frozen
class LdapSettings:
    """`type = "ldap"`: principals are in an LDAP directory, as OpenLDAP or Active Directory."""

    url: tuple[str, ...] = field(
        validator=[_some, _each(_checked(LdapUrl.parse))],
        metadata=doc(
            "The servers, as `ldap://ldap.example.org` or `ldaps://ldap.example.org:636`. Each "
            "has all of the directory; the first that works is asked."
        ),
    )
    base_dn: tuple[str, ...] = field(
        validator=_some,
        metadata=doc("The trees that are searched, such as `dc=example,dc=org`; all of each."),
    )
    login: Literal["bind", "compare"] = field(
        default="bind",
        metadata=doc(
            "How a password is checked: by binding as the user, or by comparing it with the hash "
            "in `attributes.secret`."
        ),
    )
    scram: bool = field(
        default=False,
        metadata=doc(
            "Whether users are offered to log in by SCRAM-SHA-256. One of the values of "
            "`attributes.secret` has to be `SCRAM-SHA-256$…` (RFC 5803), Dovecot's "
            '`{SCRAM-SHA-256}…`, or the password itself. With `login = "compare"`.'
        ),
    )
    user_dn: str | None = field(
        default=None,
        validator=optional(_checked(lambda text: DnTemplate(text, "name"))),
        metadata=doc(
            "What a user binds as, such as `uid={name},ou=people,dc=example,dc=org`.",
            default="the name of the entry that was found",
        ),
    )
    domains: tuple[str, ...] = field(
        default=(),
        validator=_each(_domain),
        metadata=doc(
            "The domains whose addresses are the directory's to know; it may hold other addresses "
            "too, which do not count."
        ),
    )
    referrals: Literal["fail", "ignore"] = field(
        default="fail",
        metadata=doc(
            "An answer that points to other servers, none of which is asked: whether it counts as "
            "no answer, or what they may know is left out. Active Directory needs `ignore`, unless "
            "`base-dn` is below the domain's own."
        ),
    )
    timeout: Duration = field(
        default=Duration(5.0),
        validator=lasts("1s"),
        metadata=doc("How long a connection, and then each answer, may take."),
    )
    back_off: Duration = field(
        default=Duration(30.0),
        validator=lasts("1s"),
        metadata=doc(
            "A server that failed is not asked for a second, then for twice as long each time it "
            "fails again; and never for longer than this."
        ),
    )
    page_size: int = field(
        default=500,
        validator=at_least(0),
        metadata=doc("Entries that are asked for at a time (RFC 2696); `0` asks for all."),
    )
    max_answer: Size = field(
        default=Size(1_000_000),
        validator=at_least(1_000),
        metadata=doc("The largest answer to one request; more counts as no answer."),
    )
    max_entries: int = field(
        default=10_000,
        validator=at_least(1),
        metadata=doc("Entries that one search, or one list, may have."),
    )
    bind: LdapBind = field(factory=LdapBind, metadata=doc(""))
    filter: LdapFilters = field(factory=LdapFilters, metadata=doc(""))
    attributes: LdapAttributes = field(factory=LdapAttributes, metadata=doc(""))
    types: LdapTypes = field(factory=LdapTypes, metadata=doc(""))
    options: LdapOptions = field(factory=LdapOptions, metadata=doc(""))
    pool: LdapPool = field(factory=LdapPool, metadata=doc(""))
    tls: LdapTls = field(factory=LdapTls, metadata=doc(""))
    cache: CacheSettings = field(factory=CacheSettings, metadata=doc(""))

    def problems(self) -> Found:
        if not self.domains and self.filter.domain is None:
            yield ("domains",), "is missing; allowed is a list of domains, or filter.domain"
        elif self.domains and self.filter.domain is not None:
            yield ("filter", "domain"), "does nothing beside domains; allowed is one of the two"
        if self.scram and self.login != "compare":
            yield ("scram",), 'cannot work; allowed with login = "compare"'
        if self.login == "compare" and self.user_dn is not None:
            yield ("user-dn",), 'does nothing; allowed with login "bind"'

    def warnings(self) -> Found:
        for index, text in enumerate(self.url):
            url = LdapUrl.parse(text)
            if not (url.tls or self.tls.starttls or url.is_loopback):
                message = f"passwords go to {url.host} as they are; better is ldaps, or starttls"
                yield ("url", index), message

"""`[directory.NAME]` with `type = "sql"`."""

from importlib.util import find_spec
from typing import Literal

from attrs import field, fields_dict, frozen
from attrs.validators import optional

from mailhive.config.fields import FilePath, at_least, doc, lasts
from mailhive.config.problems import Found
from mailhive.config.units import Duration
from mailhive.config.values import quoted
from mailhive.directory.cache import CacheSettings
from mailhive.directory.database.query import placeholders

__all__ = [
    "ColumnSettings",
    "PoolSettings",
    "QuerySettings",
    "SqlSettings",
    "TlsSettings",
]

_NEEDS = {"postgresql": "psycopg", "mysql": "pymysql"}
_SERVER_KEYS = ("host", "port", "database", "user", "password")


def _port(_: object, __: object, value: int) -> None:
    if not 0 < value < 65_536:
        raise ValueError(f"{value} is no port; allowed are 1 to 65535")


@frozen
class QuerySettings:
    """What to ask the database. Names, addresses and domains are given to it in lower case."""

    name: str = field(
        metadata=doc(
            "The principal called `:name`: one row, whose columns are below.",
            placeholders=("name",),
        )
    )
    recipients: str = field(
        metadata=doc(
            "The names of those whose address `:address` is, which is `:local` and `:domain` "
            "joined by `@`; of a list, its own name or those of its members. Asked for the "
            "catch-all of a domain with nothing before the `@`.",
            placeholders=("address", "local", "domain"),
        )
    )
    domains: str = field(
        metadata=doc(
            "Any row if there are addresses of `:domain`, and none else.",
            placeholders=("domain",),
        )
    )
    emails: str | None = field(
        default=None,
        metadata=doc(
            "The addresses of `:name`, the primary one first; `@example.org` is a catch-all. "
            "Without it, the column `email` of the principal has its one address.",
            placeholders=("name",),
        ),
    )
    member_of: str | None = field(
        default=None,
        metadata=doc(
            "The names of the groups and lists that `:name` belongs to.", placeholders=("name",)
        ),
    )
    expand: str | None = field(
        default=None,
        metadata=doc(
            "The names of the members of the list `:name`, each of whom is then asked for.",
            placeholders=("name",),
        ),
    )
    list_members: str | None = field(
        default=None,
        metadata=doc(
            "In place of `expand`, the members of the list `:name` with all that mail to them "
            "needs: the columns of the query `name` and an address in `email`, one row for each "
            "address of each member. So a list costs one query, however long it is.",
            placeholders=("name",),
        ),
    )
    secret: str | None = field(
        default=None,
        metadata=doc(
            "The hashed password of `:name`, if it is not a column of the principal.",
            placeholders=("name",),
        ),
    )
    quota: str | None = field(
        default=None,
        metadata=doc(
            "The quota of `:name`, if it is not a column of the principal.",
            placeholders=("name",),
        ),
    )


@frozen
class ColumnSettings:
    """What the columns of the query `name` are called. All but `name` may be absent."""

    name: str = field(default="name", metadata=doc("The login, and the name of the account."))
    type: str = field(
        default="type",
        metadata=doc("`individual`, `group` or `list`; NULL or none is an individual."),
    )
    secret: str = field(
        default="secret",
        metadata=doc(
            "The password's hash, as for a `memory` directory; the password itself only with "
            "`{PLAIN}` before it. NULL: nobody can log in."
        ),
    )
    enabled: str = field(
        default="enabled",
        metadata=doc("False or 0: nobody can log in, while mail is still delivered."),
    )
    description: str = field(default="description", metadata=doc("Such as a full name."))
    quota: str = field(
        default="quota",
        metadata=doc("The most that the account's mail may take, in octets; NULL or 0: no limit."),
    )
    email: str = field(default="email", metadata=doc("The address, without a query `emails`."))
    members_may: str = field(
        default="members_may", metadata=doc("Of a group: `read` or `write`, which is the default.")
    )
    mailboxes: str = field(
        default="mailboxes",
        metadata=doc("What a new account has: `default` or `inbox`, as for a `memory` directory."),
    )


@frozen
class OptionSettings:
    """How addresses are looked up that nobody has as they are."""

    catch_all: bool = field(
        default=True,
        metadata=doc("Whether the query `recipients` is asked for `@example.org` at last."),
    )
    subaddressing: bool = field(
        default=True,
        metadata=doc("Whether mail to `user+detail@example.org` is for `user@example.org`."),
    )


@frozen
class PoolSettings:
    """Connections to the database, each of which has a thread while it is used."""

    max_connections: int = field(
        default=10, validator=at_least(1), metadata=doc("The most that are open at a time.")
    )
    idle_timeout: Duration = field(
        default=Duration(600.0),
        validator=lasts("1s"),
        metadata=doc("A connection that was not used for so long is replaced."),
    )


@frozen
class TlsSettings:
    """Encryption on the way to the server, whose certificate is always checked, its name too."""

    enable: bool = field(default=False, metadata=doc("Whether there has to be any."))
    ca: FilePath | None = field(
        default=None,
        metadata=doc("PEM file of the authorities to trust, in place of those of the system."),
    )
    certificate: FilePath | None = field(
        default=None, metadata=doc("PEM file of a certificate to show to the server.")
    )
    private_key: FilePath | None = field(
        default=None, metadata=doc("PEM file of the key of that certificate.")
    )

    def problems(self) -> Found:
        files = {"ca": self.ca, "certificate": self.certificate, "private-key": self.private_key}
        for key, path in files.items():
            if path is None:
                continue
            if not self.enable:
                yield (key,), "does nothing; allowed with enable = true"
            elif not path.is_file():
                yield (key,), f"{path} is no file; allowed is a PEM file"
        if (self.certificate is None) != (self.private_key is None):
            missing = "certificate" if self.certificate is None else "private-key"
            yield (missing,), "is missing; certificate and private-key go together"


@frozen(kw_only=True)
class SqlSettings:
    """`type = "sql"`: principals are in a database, which your own queries ask."""

    driver: Literal["sqlite", "postgresql", "mysql"] = field(
        metadata=doc(
            "The kind of database; `mysql` is MariaDB too. `postgresql` and `mysql` need the "
            "extras `mailhive[postgresql]` and `mailhive[mysql]`."
        )
    )
    path: FilePath | None = field(
        default=None, metadata=doc("The file, for `sqlite`; it is only read.")
    )
    host: str | None = field(
        default=None,
        metadata=doc(
            "Where the server is: a name, an address, or the path of its Unix socket (for "
            "PostgreSQL, of the directory of it)."
        ),
    )
    port: int | None = field(
        default=None,
        validator=optional(_port),
        metadata=doc("The server's port.", default="the usual one"),
    )
    database: str | None = field(default=None, metadata=doc("The name of the database."))
    user: str | None = field(default=None, metadata=doc("The login at the server."))
    password: str | None = field(
        default=None, repr=False, metadata=doc("The password there.", secret=True)
    )
    timeout: Duration = field(
        default=Duration(5.0),
        validator=lasts("1s"),
        metadata=doc(
            "How long a lookup may take in all, waiting for a connection included. After that the "
            "directory counts as one that cannot answer now."
        ),
    )
    scram: bool = field(
        default=False,
        metadata=doc(
            "Whether users are offered to log in by SCRAM-SHA-256. Secrets have to be "
            "`SCRAM-SHA-256$…` as PostgreSQL has them, Dovecot's `{SCRAM-SHA-256}…`, or `{PLAIN}…`."
        ),
    )
    query: QuerySettings = field(metadata=doc(""))
    columns: ColumnSettings = field(factory=ColumnSettings, metadata=doc(""))
    options: OptionSettings = field(factory=OptionSettings, metadata=doc(""))
    pool: PoolSettings = field(factory=PoolSettings, metadata=doc(""))
    tls: TlsSettings = field(factory=TlsSettings, metadata=doc(""))
    cache: CacheSettings = field(factory=CacheSettings, metadata=doc(""))

    def problems(self) -> Found:
        needed = _NEEDS.get(self.driver)
        if needed is not None and find_spec(needed) is None:
            install = f'pip install "mailhive[{self.driver}]"'
            yield ("driver",), f'"{self.driver}" needs a package that is not there: {install}'
        wanted: tuple[str, ...] = ("host", "database", "user")
        other: tuple[str, ...] = ("path",)
        if self.driver == "sqlite":
            wanted, other = other, _SERVER_KEYS
        for key in wanted:
            if getattr(self, key) is None:
                yield (key,), f'is missing; driver "{self.driver}" needs it'
        for key in other:
            if getattr(self, key) is not None:
                yield (key,), f'does nothing; allowed with another driver than "{self.driver}"'
        if self.tls.enable and (self.driver == "sqlite" or (self.host or "").startswith("/")):
            yield ("tls", "enable"), "does nothing; allowed with a server elsewhere"
        yield from self._queries()

    def _queries(self) -> Found:
        if self.query.expand is not None and self.query.list_members is not None:
            yield ("query", "expand"), "does nothing beside list-members; allowed is one of the two"
        for name, attribute in fields_dict(QuerySettings).items():
            sql = getattr(self.query, name)
            if sql is None:
                continue
            path = ("query", name.replace("_", "-"))
            known = attribute.metadata["placeholders"]
            used = set(placeholders(sql, mysql=self.driver == "mysql"))
            allowed = f"allowed: {', '.join(f':{one}' for one in known)}"
            if unknown := sorted(used - set(known)):
                yield path, f"has no placeholder {quoted(f':{one}' for one in unknown)}; {allowed}"
            elif not used:
                yield path, f"asks the same for everybody; {allowed}"

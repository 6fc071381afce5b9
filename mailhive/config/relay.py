"""The sections about mail to other servers: `[queue]` and `[relay]`."""

from typing import Literal

from attrs import field, frozen
from attrs.validators import optional

from mailhive.config.fields import FilePath, at_least, doc, host_name, lasts
from mailhive.config.problems import Found
from mailhive.config.units import Duration
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["QueueSettings", "RelaySettings", "RouteSettings"]


@frozen
class QueueSettings:
    """Mail on its way out, until every recipient has got it or never will."""

    life: Duration = field(
        default=Duration(5 * 86_400.0),  # RFC 5321 §4.5.4.1
        validator=lasts("1m"),
        metadata=doc("How long a message is tried before it goes back to its sender."),
    )
    warn_after: Duration = field(
        default=Duration(4 * 3_600.0),
        validator=lasts("1m"),
        metadata=doc("A sender is told once of a message that is still on its way by then."),
    )
    concurrency: int = field(
        default=100,
        validator=at_least(2),
        metadata=doc("Attempts to send that are under way at the same time."),
    )
    user_messages_per_hour: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc(
            "Messages that one user may send, by JMAP and by submission listeners together. "
            "More are put off with 451, or refused as `rateLimit`."
        ),
    )
    user_recipients_per_hour: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc("The same for the recipients of all these messages."),
    )


@frozen
class RouteSettings:
    """A server that takes mail for a domain in the place of the domain's own.

    The table is named by the domain, `.example.org` stands for all below it, `*` for
    every other.
    """

    host: str = field(
        validator=host_name, metadata=doc("Name or IPv4 address of the server.", default="")
    )
    port: int | None = field(
        default=None,
        metadata=doc("Its port.", default='465 with `tls = "implicit"`, else 587'),
    )
    tls: Literal["starttls", "implicit", "opportunistic", "none"] = field(
        default="starttls",
        metadata=doc(
            "`opportunistic` uses TLS if there is some and trusts any certificate; with `starttls` "
            "and `implicit` the certificate has to be for `host`, and nothing is sent without."
        ),
    )
    ca_file: FilePath | None = field(
        default=None,
        metadata=doc("PEM certificates to trust for it.", default="those of the system"),
    )
    user: str | None = field(default=None, metadata=doc("Name to log in with."))
    password: str | None = field(
        default=None, metadata=doc("Password to log in with.", secret=True)
    )
    login: Literal["any", "scram-sha-256"] = field(
        default="any",
        metadata=doc(
            "How: by SCRAM-SHA-256 (RFC 7677) where the server offers it, else PLAIN or LOGIN; or "
            "by SCRAM-SHA-256 only, so that the server is never shown the password."
        ),
    )

    def problems(self) -> Found:
        if (self.user is None) != (self.password is None):
            yield ("user",), "needs a password, and the other way round"
        if self.user is not None and self.tls in ("none", "opportunistic"):
            yield ("tls",), f'"{self.tls}" would show the password; "starttls" or "implicit" do not'
        if self.port is not None and not 0 < self.port < 65_536:
            yield ("port",), f"{self.port} is not a port; 1 to 65535 are allowed"


def _route_names(_: object, __: object, routes: dict[str, RouteSettings]) -> None:
    for name in routes:
        canonical = canonical_domain(name.removeprefix("."))
        if name != "*" and (canonical is None or not is_domain(canonical)):
            raise ValueError(
                f'"{name}" is no domain; allowed are "example.org", ".example.org" and "*"'
            )


@frozen
class RelaySettings:
    """Mail to other servers."""

    enabled: bool = field(
        default=True, metadata=doc("Is mail sent to other servers at all? It waits otherwise.")
    )
    port: int = field(
        default=25, validator=at_least(1), metadata=doc("Where the servers of domains listen.")
    )
    connections_per_destination: int = field(
        default=5,
        validator=at_least(1),
        metadata=doc("Connections to the servers of one domain, or to one route, at a time."),
    )
    messages_per_minute: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc("Messages to the servers of one domain, or to one route; more wait."),
    )
    connect_timeout: Duration = field(
        default=Duration(30.0),
        validator=lasts("1s"),
        metadata=doc("How long a server has to take a connection before the next one is tried."),
    )
    mta_sts: bool = field(
        default=True,
        metadata=doc(
            "Are domains asked for their MTA-STS policy (RFC 8461)? Mail to one that enforces its "
            "own goes to the servers it names only, over TLS with a valid certificate."
        ),
    )
    dane: bool = field(
        default=False,
        metadata=doc(
            "Is mail to domains that publish TLSA records (RFC 7672) sent only over TLS, to "
            "servers with the certificates that these tell? What they tell counts for more than "
            "an MTA-STS policy. Needs `server.resolvers`: name servers that validate DNSSEC, and "
            "that are reached by a way on which nobody else can answer, such as the loopback."
        ),
    )
    ipv6: bool = field(default=True, metadata=doc("Are servers reached by IPv6 too?"))
    route: dict[str, RouteSettings] = field(factory=dict, validator=_route_names, metadata=doc(""))

"""Which servers mail for a domain goes to, and how far each is trusted."""

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from mailhive.config.relay import RelaySettings, RouteSettings
from mailhive.smtp.relay.connection import AnyCertificate
from mailhive.smtp.relay.exchangers import NO_ADDRESS, UNFIT, Exchangers, NoMail

__all__ = ["Routes", "Security", "Target"]


class Security(Enum):
    """What a connection has to be."""

    NONE = "none"  # plain
    OPPORTUNISTIC = "opportunistic"  # encrypted if that can be had, with whomever
    STARTTLS = "starttls"  # encrypted, and the server is who it should be
    IMPLICIT = "implicit"  # the same, from the first octet


@frozen
class Target:
    """An address to connect to, and how."""

    host: str
    address: str
    port: int
    security: Security
    trust: Any = None  # for `optionsForClientTLS`; None: the system's
    login: tuple[str, str] | None = None

    def creator(self, security: Security) -> Any:
        """The `IOpenSSLClientConnectionCreator` for `security`."""
        if security is Security.OPPORTUNISTIC:
            return AnyCertificate(self.host)
        return optionsForClientTLS(self.host, trustRoot=self.trust or platformTrust())


@define(eq=False, slots=False)
class Routes:
    """`settings` choose; where they say nothing, the DNS does, and the domain's own policy.

    Without `mta_sts` nobody asks for that.
    """

    settings: RelaySettings
    exchangers: Exchangers
    mta_sts: Any = None  # MtaSts
    _trusts: dict[str, Any] = Factory(dict)

    @cached_property
    def _routes(self) -> Mapping[str, RouteSettings]:
        return {name.lower(): route for name, route in self.settings.route.items()}

    def of(self, domain: str) -> RouteSettings | None:
        """The route that is configured for a domain in canonical form."""
        routes = self._routes
        if not routes:
            return None
        if domain in routes:
            return routes[domain]
        labels = domain.split(".")
        for i in range(1, len(labels)):
            if (route := routes.get("." + ".".join(labels[i:]))) is not None:
                return route
        return routes.get("*")

    async def targets(self, domain: str) -> AsyncIterator[Target]:
        """What to try, in order.

        `NoMail` if there is nothing, `TemporaryFailure` if that cannot be known now.
        """
        route, found = self.of(domain), False
        hosts: Sequence[str]
        if route is not None:
            hosts, port = (route.host,), route.port or (465 if route.tls == "implicit" else 587)
            security, trust = Security(route.tls), self._trust(route)
            login = (route.user, route.password or "") if route.user is not None else None
        else:
            port, security, trust, login = self.settings.port, Security.OPPORTUNISTIC, None, None
            hosts = (domain,) if domain[:1] == "[" else await self.exchangers.hosts(domain)
            policy = None if self.mta_sts is None else await self.mta_sts.policy(domain)
            if policy is not None and policy.mode == "enforce":
                # RFC 8461 §4, §5: only these, and only if they prove to be who they are.
                hosts = [host for host in hosts if policy.allows(host)]
                security = Security.STARTTLS
                if not hosts:
                    raise NoMail(UNFIT)
        for host in hosts:
            for address in await self._addresses(host):
                found = True
                yield Target(host.strip("[]"), address, port, security, trust, login)
        if not found:
            raise NoMail(NO_ADDRESS)

    async def _addresses(self, host: str) -> tuple[str, ...]:
        literal = host.strip("[]")
        try:
            addresses: Sequence[str] = (str(ip_address(literal.lower().removeprefix("ipv6:"))),)
        except ValueError:
            addresses = await self.exchangers.addresses(host)
        return tuple(a for a in addresses if ":" not in a or self.settings.ipv6)

    def _trust(self, route: RouteSettings) -> Any:
        """The same object each time, as connections are shared by equal targets."""
        if route.ca_file is None:
            return None
        if route.host not in self._trusts:
            self._trusts[route.host] = _read_trust(route.ca_file)
        return self._trusts[route.host]


def _read_trust(path: Path) -> Any:
    marker = b"-----END CERTIFICATE-----"
    parts = [part + marker for part in path.read_bytes().split(marker)[:-1]]
    return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])

"""Which servers mail for a domain goes to, and how far each is trusted."""

from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from mailhive.config.relay import RelaySettings, RouteSettings
from mailhive.errors import TemporaryFailure
from mailhive.smtp.client_login import Login
from mailhive.smtp.relay.dane import DaneLookups
from mailhive.smtp.relay.exchangers import (
    NO_ADDRESS,
    UNFIT,
    UNPROVED,
    Addresses,
    Exchangers,
    Hosts,
    NoMail,
)
from mailhive.smtp.relay.sts import Policy
from mailhive.smtp.relay.target import Demand, Security, Target
from mailhive.smtp.relay.tls import Dane

__all__ = ["Routes"]


@frozen
class _Way:
    """The hosts of a route or domain, and how they are reached."""

    hosts: Hosts
    port: int
    security: Security
    trust: Any = None
    login: Login | None = None
    policy: Policy | None = None


@define(eq=False, slots=False)
class Routes:
    """`settings` choose; where they say nothing, the DNS does, and what a domain asks for.

    Without `mta_sts` and `dane` nobody looks for that.
    """

    settings: RelaySettings
    exchangers: Exchangers
    mta_sts: Any = None  # MtaSts
    dane: DaneLookups | None = None
    _trusts: dict[Path, Any] = Factory(dict)

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

    async def targets(self, domain: str, demand: Demand = Demand.USUAL) -> AsyncIterator[Target]:
        """What to try, in order.

        At the end `NoMail` if there was nothing, or `TemporaryFailure` if there may be more.
        """
        route = self.of(domain)
        way = await self._by_dns(domain) if route is None else self._by(route)
        reason, is_empty = NO_ADDRESS, True
        doubt: TemporaryFailure | None = None
        for host in way.hosts.names:
            try:
                addresses = await self._addresses(host)
                security, dane = (
                    await self._security(way, host, addresses, demand)
                    if route is None
                    else (_encrypted(way.security) if demand is Demand.TLS else way.security, None)
                )
            except _Unfit as error:
                reason = error.reply
            except TemporaryFailure as error:
                doubt = error
            else:
                for address in addresses.addresses:
                    if ":" not in address or self.settings.ipv6:
                        is_empty = False
                        yield Target(
                            host.strip("[]"),
                            address,
                            way.port,
                            security,
                            way.trust,
                            way.login,
                            dane,
                        )
        if doubt is not None:
            raise doubt
        if is_empty and route is not None:  # a mistake of ours, which senders need not know of
            raise TemporaryFailure(f"The route's server {route.host} has no address")
        if is_empty:
            raise NoMail(reason)

    def _by(self, route: RouteSettings) -> _Way:
        return _Way(
            Hosts((route.host,), route.host, route.host, is_secure=False, is_implicit=True),
            route.port or (465 if route.tls == "implicit" else 587),
            Security(route.tls),
            self._trust(route),
            None
            if route.user is None
            else Login(route.user, route.password or "", only_scram=route.login != "any"),
        )

    async def _by_dns(self, domain: str) -> _Way:
        if domain[:1] == "[":
            itself = Hosts((domain,), domain, domain, is_secure=False, is_implicit=True)
            return _Way(itself, self.settings.port, Security.OPPORTUNISTIC)
        hosts = await self.exchangers.hosts(domain)
        policy = None if self.mta_sts is None else await self.mta_sts.policy(domain)
        return _Way(hosts, self.settings.port, Security.OPPORTUNISTIC, policy=policy)

    async def _security(
        self, way: _Way, host: str, addresses: Addresses, demand: Demand
    ) -> tuple[Security, Dane | None]:
        """How a host of a domain may be used.  `_Unfit` if not at all."""
        if demand is Demand.NONE:  # RFC 8689 §4.2.2
            return way.security, None
        is_named = way.policy is not None and way.policy.allows(host)
        if demand is Demand.TLS and not (
            is_named or way.hosts.is_secure or way.hosts.is_implicit
        ):  # RFC 8689 §4.2.1, step 2
            raise _Unfit(UNPROVED)
        dane = None
        if self.dane is not None:
            dane = await self.dane.dane(host, addresses, way.hosts)
            if dane is not None and dane.records:
                # RFC 8461 §2: what MTA-STS finds good makes up for nothing here.
                return Security.DANE, dane
        if way.policy is not None and way.policy.mode == "enforce":
            # RFC 8461 §4, §5: only these, and only if they prove to be who they are.
            if not is_named:
                raise _Unfit(UNFIT)
            return Security.STARTTLS, None
        if demand is Demand.TLS:
            return Security.STARTTLS, None
        return way.security if dane is None else Security.ENCRYPTED, None

    async def _addresses(self, host: str) -> Addresses:
        literal = host.strip("[]")
        try:
            address = str(ip_address(literal.lower().removeprefix("ipv6:")))
        except ValueError:
            return await self.exchangers.addresses(host)
        return Addresses((address,), host, is_secure=False)

    def _trust(self, route: RouteSettings) -> Any:
        """The same object each time, as connections are shared by equal targets."""
        if route.ca_file is None:
            return None
        if route.ca_file not in self._trusts:
            self._trusts[route.ca_file] = _read_trust(route.ca_file)
        return self._trusts[route.ca_file]


class _Unfit(NoMail):
    """A host cannot be used for this message."""


def _encrypted(security: Security) -> Security:
    """What a route is for a message that has to have TLS (RFC 8689 §4.2.1, step 4)."""
    return security if security is Security.IMPLICIT else Security.STARTTLS


def _read_trust(path: Path) -> Any:
    marker = b"-----END CERTIFICATE-----"
    parts = [part + marker for part in path.read_bytes().split(marker)[:-1]]
    return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])

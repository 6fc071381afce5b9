"""Questions to the DNS."""

from ipaddress import ip_address
from typing import Any

from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.names import client, dns, hosts, resolve
from twisted.names.error import DNSNameError, DomainError, ResolverError

from mailhive.errors import TemporaryFailure

__all__ = ["look_up", "name_resolver"]

#: Seconds that a name server has for each of some tries.
_TIMEOUT = (1, 3, 8)
#: Aliases that are followed one after the other.
_MOST_ALIASES = 8
#: Whatever goes wrong on the way to an answer.
_NO_ANSWER = (
    DomainError,
    ResolverError,
    defer.TimeoutError,
    ConnectError,
    ConnectionClosed,
    OSError,
)

_PORT = 53
_SYSTEM = "/etc/resolv.conf"


def name_resolver(servers: tuple[str, ...], reactor: Any) -> Any:
    """An `IResolver` that asks these servers, or those of the system if there are none.

    It knows the file of hosts.  To remember answers is left to the name server.
    """
    asking = (
        client.Resolver(servers=[_address(server) for server in servers], reactor=reactor)
        if servers
        else client.Resolver(resolv=_SYSTEM, reactor=reactor)
    )
    return resolve.ResolverChain([hosts.Resolver(), asking])


async def look_up(resolver: Any, name: str, kind: int) -> list[Any] | None:
    """The payloads of the records of a kind, such as `dns.MX`; None if there is no such name.

    `name` is in A-labels.  Aliases are followed.  `TemporaryFailure` if there is no answer.
    """
    asked = name
    for _ in range(_MOST_ALIASES):
        try:
            asking: defer.Deferred[Any] = resolver.query(dns.Query(asked, kind), timeout=_TIMEOUT)
            answers, _, _ = await asking
        except DNSNameError:
            return None
        except _NO_ANSWER as error:
            raise TemporaryFailure(f"No answer from the DNS about {name}") from error
        found = [answer.payload for answer in answers if answer.type == kind]
        aliases = [answer.payload for answer in answers if answer.type == dns.CNAME]
        if found or not aliases:
            return found
        asked = aliases[-1].name.name.decode("ascii", "replace")
    return []


def _address(server: str) -> tuple[str, int]:
    """`192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`; else ValueError."""
    host, mark, port = server.rpartition(":")
    if mark and (host.startswith("[") or ":" not in host):
        return str(ip_address(host.strip("[]"))), int(port)
    return str(ip_address(server)), _PORT

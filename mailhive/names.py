"""Questions to the DNS."""

from ipaddress import ip_address
from typing import Any

from twisted.names import cache, client, hosts, resolve

__all__ = ["name_resolver"]

_PORT = 53
_SYSTEM = "/etc/resolv.conf"


def name_resolver(servers: tuple[str, ...], reactor: Any) -> Any:
    """An `IResolver` that asks these servers, or those of the system if there are none.

    It knows the file of hosts, and remembers answers for as long as they are good.
    """
    asking = (
        client.Resolver(servers=[_address(server) for server in servers], reactor=reactor)
        if servers
        else client.Resolver(resolv=_SYSTEM, reactor=reactor)
    )
    return resolve.ResolverChain([hosts.Resolver(), cache.CacheResolver(reactor=reactor), asking])


def _address(server: str) -> tuple[str, int]:
    """`192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`; else ValueError."""
    host, mark, port = server.rpartition(":")
    if mark and (host.startswith("[") or ":" not in host):
        return str(ip_address(host.strip("[]"))), int(port)
    return str(ip_address(server)), _PORT

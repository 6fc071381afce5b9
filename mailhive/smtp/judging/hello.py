"""The name that a client gives itself (RFC 5321 §4.1.1.1)."""

from collections.abc import Collection
from typing import Literal

from mailhive.authn.dns import DnsFailure, Resolver
from mailhive.model.addresses import canonical_domain
from mailhive.model.networks import parse_address

__all__ = ["HelloFault", "fault_of"]

HelloFault = Literal["bare-address", "unqualified", "own-name", "unknown"]
_OF_OURSELVES = ("localhost", "localhost.localdomain")


async def fault_of(
    resolver: Resolver, hello: str, hostname: str, wanted: Collection[HelloFault]
) -> str | None:
    """What is wrong with the name, of the faults that are looked for; None if nothing is.

    A name of which the DNS cannot tell now is in order, and so is any address literal.
    """
    if hello.startswith("["):
        return None
    if parse_address(hello) is not None:
        return "An address is put in brackets" if "bare-address" in wanted else None
    name = (canonical_domain(hello) or hello).rstrip(".")
    if "own-name" in wanted and name in (hostname.lower(), *_OF_OURSELVES):
        return f"{hello} is not your name"
    if "unqualified" in wanted and "." not in name:
        return f"{hello} is not fully qualified"
    if "unknown" in wanted and not await _exists(resolver, name):
        return f"{hello} is not in the DNS"
    return None


async def _exists(resolver: Resolver, name: str) -> bool:
    """Does it have an address, or a host that takes its mail?"""
    try:
        return bool(await resolver.a(name) or await resolver.aaaa(name) or await resolver.mx(name))
    except DnsFailure:
        return True

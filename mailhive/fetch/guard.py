"""The guard: requests that somebody else chose the URL of reach public hosts only.

Without it, who may name a URL can make this server ask others for which it is an
insider: its own ports, the routers and databases beside it, its cloud's metadata
(server-side request forgery).  What counts is the address that is connected to, as a
name may resolve to anything, and to something else the next time.
"""

from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from mailhive.fetch.addresses import special_purpose
from mailhive.fetch.url import Target
from mailhive.model.networks import Address, Networks, parse_address

__all__ = ["Guard"]

_NOBODY = Networks()
_WEB = frozenset({80, 443})
# Above 1023: NFS, ManageSieve, SIP, X11, IRC and others that a request could be meant for
# (Fetch Standard, "port blocking").
_OTHERS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080}
    | set(range(6665, 6670))
)
_LOCALHOST: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))  # RFC 6761 §6.3


@frozen
class Guard:
    """Refuses every host that is not public, except those in the networks `allow`."""

    allow: Networks = _NOBODY

    def refuses(self, address: str | Address) -> str | None:
        """Why there must be no connection to this address; None if there may."""
        parsed = parse_address(str(address))
        if parsed is None:
            return f"{address} is not an address"
        if self.allow.contains(parsed):
            return None
        purpose = special_purpose(parsed)
        return None if purpose is None else f"{address} is {purpose}, not of a public host"

    def refuses_target(self, target: Target) -> str | None:
        """Why there must be no request to this host; None if its addresses are to decide."""
        if target.port in _OTHERS or (target.port < 1024 and target.port not in _WEB):
            return f"port {target.port} is of another service than the web"
        if target.address is not None:
            return self.refuses(target.address)
        if f".{target.host}".endswith(".localhost"):
            reasons = [self.refuses(address) for address in _LOCALHOST]
            return None if None in reasons else "it is this server itself"
        return None

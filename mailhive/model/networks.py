"""Sets of IP networks, as the configuration names them."""

from collections.abc import Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

__all__ = ["Address", "Network", "Networks", "parse_address", "parse_network"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 §2.5.5.2


def parse_address(text: str) -> Address | None:
    """An address, None for what is none.

    An IPv4-mapped IPv6 address is the IPv4 address, and a zone is left out: neither
    makes it another host's.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_network(text: str) -> Network:
    """`192.0.2.0/24` or a single address; ValueError says what is wrong and what is allowed."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_mistake(text)) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        start = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
        return IPv4Network((start, network.prefixlen - 96))
    return network


def _mistake(text: str) -> str:
    try:
        meant = ip_interface(text).network
    except ValueError:
        allowed = 'an address or a network, as in "192.0.2.1", "10.0.0.0/8" or "2001:db8::/32"'
        return f'"{text}" is not a network; allowed is {allowed}'
    return f'"{text}" has bits set behind its prefix; did you mean "{meant}"?'


class Networks:
    """An immutable set of networks; iterating gives them as text."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Networks":
        """The networks that `texts` name; ValueError as of `parse_network`."""
        return cls(map(parse_network, texts))

    def contains(self, address: str | Address) -> bool:
        """Is this address in one of the networks?  What is no address is in none."""
        parsed = parse_address(str(address))
        return parsed is not None and any(parsed in network for network in self._networks)

    def __iter__(self) -> Iterator[str]:
        # A network of one address is written as that address.
        return (str(n.network_address if n.num_addresses == 1 else n) for n in self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._networks == other._networks

    def __hash__(self) -> int:
        return hash(self._networks)

    def __repr__(self) -> str:
        return f"Networks({', '.join(self)})"

"""Which addresses are of public hosts, and what the others are for.

The tables follow IANA's registries of special-purpose addresses (RFC 6890 and its
successors); Python's own `is_global` differs between its versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from mailhive.model.networks import Address

__all__ = ["special_purpose"]

_IPV4 = {
    IPv4Network(network): purpose
    for network, purpose in {
        "0.0.0.0/8": "unspecified",  # RFC 791 §3.2; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8": "private",  # RFC 1918
        "100.64.0.0/10": "shared by a carrier",  # RFC 6598
        "127.0.0.0/8": "loopback",  # RFC 1122 §3.2.1.3
        "168.63.129.16/32": "of a cloud's metadata",  # Azure; those of others are link-local
        "169.254.0.0/16": "link-local",  # RFC 3927
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",  # RFC 6890
        "192.0.2.0/24": "for documentation",  # RFC 5737
        "192.88.99.0/24": "reserved",  # RFC 7526
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "for benchmarks",  # RFC 2544
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",  # RFC 5771
        "240.0.0.0/4": "reserved",  # RFC 1112 §4, with the broadcast address
    }.items()
}

_IPV6 = {
    IPv6Network(network): purpose
    for network, purpose in {
        "::/128": "unspecified",  # RFC 4291 §2.5.2
        "::1/128": "loopback",  # RFC 4291 §2.5.3
        "2001::/23": "reserved",  # RFC 2928: Teredo, benchmarks, ORCHID
        "2001:db8::/32": "for documentation",  # RFC 3849
        "2002::/16": "reserved",  # 6to4, RFC 7526
        "3fff::/20": "for documentation",  # RFC 9637
        "fc00::/7": "private",  # RFC 4193
        "fe80::/10": "link-local",  # RFC 4291 §2.5.6
        "fec0::/10": "private",  # RFC 3879
        "ff00::/8": "multicast",  # RFC 4291 §2.7
    }.items()
}
_UNICAST = IPv6Network("2000::/3")  # all global addresses that there are (RFC 3587)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


def special_purpose(address: Address) -> str | None:
    """What an address is for that is not of a public host, as an adjective; None if it is.

    An address with an IPv4 address in it, through which that one is reached, is what
    that one is.
    """
    if isinstance(address, IPv4Address):
        return next((purpose for network, purpose in _IPV4.items() if address in network), None)
    if address in _NAT64 or address.ipv4_mapped is not None:
        return special_purpose(IPv4Address(int(address) & 0xFFFFFFFF))
    purpose = next((purpose for network, purpose in _IPV6.items() if address in network), None)
    return purpose or (None if address in _UNICAST else "reserved")

"""What judging asks the domain name system."""

from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mailhive.errors import TemporaryFailure

__all__ = ["DnsFailure", "IpAddress", "Resolver"]

IpAddress = IPv4Address | IPv6Address


class DnsFailure(TemporaryFailure):
    """No answer now: a timeout, SERVFAIL, or one that makes no sense."""


class Resolver(Protocol):
    """Names are absolute, with or without a dot at their end.

    A name that does not exist and one without such records both have an empty
    answer.  Every method raises `DnsFailure`.
    """

    async def txt(self, name: str) -> list[bytes]:
        """The texts of TXT records, the strings of each joined without anything between."""

    async def a(self, name: str) -> list[IPv4Address]:
        """The addresses of A records."""

    async def aaaa(self, name: str) -> list[IPv6Address]:
        """The addresses of AAAA records."""

    async def mx(self, name: str) -> list[str]:
        """The names in MX records, by preference; `.` for a null MX (RFC 7505)."""

    async def ptr(self, address: IpAddress) -> list[str]:
        """The names that PTR records give an address."""

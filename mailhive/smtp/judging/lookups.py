"""What judging asks the DNS, by an `IResolver` of Twisted."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from attrs import frozen
from twisted.names import dns

from mailhive.authn.dns import DnsFailure, IpAddress
from mailhive.errors import TemporaryFailure
from mailhive.names import look_up

__all__ = ["Lookups"]

#: Records of one answer that are looked at.
_MOST = 100
_LONGEST_NAME, _LONGEST_LABEL = 253, 63  # RFC 1035 §2.3.4


@frozen(eq=False)
class Lookups:
    """An `authn.dns.Resolver`.  How long it takes is up to the `IResolver`."""

    resolver: Any

    async def txt(self, name: str) -> list[bytes]:
        return [b"".join(record.data) for record in await self._records(name, dns.TXT)]

    async def a(self, name: str) -> list[IPv4Address]:
        return [IPv4Address(record.address) for record in await self._records(name, dns.A)]

    async def aaaa(self, name: str) -> list[IPv6Address]:
        return [IPv6Address(record.address) for record in await self._records(name, dns.AAAA)]

    async def mx(self, name: str) -> list[str]:
        records = await self._records(name, dns.MX)
        records.sort(key=lambda record: record.preference)
        return [_text(record.name) or "." for record in records]

    async def ptr(self, address: IpAddress) -> list[str]:
        records = await self._records(address.reverse_pointer, dns.PTR)
        return [_text(record.name) for record in records]

    async def _records(self, name: str, kind: int) -> list[Any]:
        name = name.removesuffix(".")
        labels = name.split(".")
        if (
            not name.isascii()
            or len(name) > _LONGEST_NAME
            or not all(0 < len(label) <= _LONGEST_LABEL for label in labels)
        ):
            return []  # there is no such name
        try:
            found = await look_up(self.resolver, name, kind)
        except TemporaryFailure as error:
            raise DnsFailure(str(error)) from error
        return (found or [])[:_MOST]


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").rstrip(".").lower()

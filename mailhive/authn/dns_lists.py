"""Lists of hosts in the DNS: those to be refused, and those to be let in (RFC 5782)."""

import re
from ipaddress import IPv4Address, IPv4Network

from attrs import frozen

from mailhive.authn.dns import DnsFailure, IpAddress, Resolver

__all__ = ["AnswerPattern", "DnsList", "Listing", "look_up"]

# RFC 5782 §2.1: whatever else comes back is no answer of a list, but perhaps of somebody
# who answers for names that do not exist.
_ANSWERS = IPv4Network("127.0.0.0/8")
#: What lists answer to those who ask too much, or may not ask.
_ERRORS = IPv4Network("127.255.255.0/24")
_OCTET = r"(?:\*|[0-9]{1,3}(?:-[0-9]{1,3})?)"
_PATTERN = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
_LONGEST = 200  # characters of a reason


@frozen
class AnswerPattern:
    """Addresses such as `127.0.0.2`, `127.0.0.4-7` or `127.0.*.2-3`."""

    text: str
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "AnswerPattern":
        """ValueError for what is none."""
        if not _PATTERN.fullmatch(text):
            raise ValueError(f'"{text}" has not four octets')
        ranges = []
        for octet in text.split("."):
            first, _, last = ("0-255" if octet == "*" else octet).partition("-")
            low, high = int(first), int(last or first)
            if not low <= high <= 255:
                raise ValueError(f'"{octet}" is no octet, and no range of them')
            ranges.append((low, high))
        return cls(text, tuple(ranges))

    def fits(self, address: IPv4Address) -> bool:
        octets = zip(address.packed, self.ranges, strict=True)
        return all(low <= octet <= high for octet, (low, high) in octets)


@frozen
class DnsList:
    """`zone` is the domain of the list, and `answers` those that say that a host is on it."""

    zone: str
    answers: tuple[AnswerPattern, ...]

    def name(self, address: IpAddress) -> str:
        """The name that says it of a host: with octets or nibbles in reverse."""
        # RFC 5782 §2.1, §2.4
        reverse = address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
        return f"{reverse}.{self.zone}"


@frozen
class Listing:
    """What a list says of a host, and why, in its own words on one line."""

    zone: str
    answer: IPv4Address
    reason: str = ""


async def look_up(resolver: Resolver, where: DnsList, address: IpAddress) -> Listing | None:
    """Is the host on the list?  `DnsFailure` if that cannot be known now, or is not told."""
    name = where.name(address)
    answers = [answer for answer in await resolver.a(name) if answer in _ANSWERS]
    for answer in sorted(answers):
        if answer not in _ERRORS and any(pattern.fits(answer) for pattern in where.answers):
            return Listing(where.zone, answer, await _reason(resolver, name))
    if any(answer in _ERRORS for answer in answers):
        raise DnsFailure(f"{where.zone} does not answer us")
    return None


async def _reason(resolver: Resolver, name: str) -> str:
    try:
        texts = await resolver.txt(name)
    except DnsFailure:
        return ""
    words = b" ".join(texts).decode("ascii", "replace").split()
    text = " ".join(words)
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:_LONGEST]

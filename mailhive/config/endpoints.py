"""Where a listener listens: `bind` values as addresses."""

import ipaddress
import re

from attrs import frozen

__all__ = ["Inherited", "SocketAddress", "parse_bind"]

ALLOWED = '"host:port" with an IP address, as in "127.0.0.1:25" or "[::]:25", or "systemd:NAME"'

_HOST_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):(\d{1,5})", re.ASCII)
_ANY = {"0.0.0.0", "::"}  # noqa: S104
_NAME = re.compile(r"[!-~]{1,255}", re.ASCII)


@frozen
class SocketAddress:
    """An IP address and a TCP port; port 0 lets the system choose one."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    def overlaps(self, other: "SocketAddress | Inherited") -> bool:
        """Can the two not be listened on together?"""
        return (
            isinstance(other, SocketAddress)
            and self.port == other.port != 0
            and self.is_ipv6 == other.is_ipv6
            and (self.host == other.host or not _ANY.isdisjoint((self.host, other.host)))
        )

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


@frozen
class Inherited:
    """A listening socket handed over by systemd, by its FileDescriptorName or index."""

    name: str

    def overlaps(self, other: "SocketAddress | Inherited") -> bool:
        return self == other

    def __str__(self) -> str:
        return f"systemd:{self.name}"


def parse_bind(value: object) -> SocketAddress | Inherited:
    """One `bind` value; ValueError says what is allowed."""
    if not isinstance(value, str):
        raise ValueError(f"is not a string; allowed is {ALLOWED}")
    if value.startswith("systemd:"):
        name = value.removeprefix("systemd:")
        if not _NAME.fullmatch(name) or ":" in name:
            raise ValueError(f'"{value}" names no socket; allowed is {ALLOWED}')
        return Inherited(name)
    match = _HOST_PORT.fullmatch(value)
    if match is None:
        raise ValueError(f'"{value}" is not an address; allowed is {ALLOWED}')
    port = int(match[3])
    if port > 65535:
        raise ValueError(f"port {port} does not exist; ports end at 65535")
    host = match[1] or match[2]
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f'"{host}" is not an IP address; allowed is {ALLOWED}') from None
    if (ip.version == 6) != bool(match[1]):
        raise ValueError(f'"{value}" is not an address; allowed is {ALLOWED}')
    return SocketAddress(str(ip), port)

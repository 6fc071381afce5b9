"""URLs in one strict form, so that all who look at one see the same host."""

import re

from attrs import frozen

from mailhive.model.addresses import canonical_domain, is_domain
from mailhive.model.networks import Address, parse_address

__all__ = ["Target", "parse_url"]

# RFC 3986 §3, without what URLs of services have no use for.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<user>[^/?#]*@)?"
    r"(\[(?P<ipv6>[^]/?#]*)\]|(?P<host>[^][:/?#]*))"
    r"(:(?P<port>[0-9]{0,5}))?"
    r"(?P<rest>([/?#][!-\[\]-~]*)?)",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORTS = {"http": 80, "https": 443}


@frozen
class Target:
    """Where a URL leads: `host` is an address, or a name in lower-case A-labels."""

    scheme: str
    host: str
    port: int
    path: str  # and query

    @property
    def address(self) -> Address | None:
        """The host, if it is an address."""
        return parse_address(self.host)

    @property
    def origin(self) -> str:
        """Scheme, host and port, the usual one left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        return self.origin + self.path


def parse_url(url: str) -> Target:
    """Read an absolute http or https URL; ValueError says in one line what is wrong.

    An address has to be written as addresses are: forms that only some libraries
    take for one, as `127.1` or `0x7f000001`, are mistakes, and so are user names.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("it is not an http or https URL")
    if match["user"] is not None:
        raise ValueError("it has a user name or password")
    scheme = match["scheme"].lower()
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise ValueError(f"there is no port {port}")
    host = _address(match["ipv6"]) if match["ipv6"] is not None else _host(match["host"])
    path = match["rest"].partition("#")[0]
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def _address(text: str) -> str:
    address = parse_address(text)
    if ":" not in text or "%" in text or address is None:
        raise ValueError("its host is not an IPv6 address")
    return str(address)


def _host(text: str) -> str:
    host = canonical_domain(text)
    if host is not None:
        host = host.removesuffix(".")
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            if (address := parse_address(host)) is None:
                raise ValueError("its host is neither a name nor an address in the usual form")
            return str(address)
        if is_domain(host):
            return host
    raise ValueError("its host is not a name")

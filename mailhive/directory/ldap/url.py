"""Where an LDAP server is (RFC 4516): of its URL, the scheme, host and port."""

import re
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from attrs import frozen

__all__ = ["LdapUrl"]

_PORTS = {"ldap": 389, "ldaps": 636}
_HOST = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)


@frozen
class LdapUrl:
    """`tls` is encrypted from the first octet."""

    tls: bool
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """ValueError says what is allowed."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in _PORTS or not _is_whole(text, parts.netloc, host):
            raise ValueError(
                f'"{text}" is no server; allowed is "ldap://HOST" or "ldaps://HOST", optionally '
                'with ":PORT" behind it'
            )
        return cls(parts.scheme == "ldaps", host, port or _PORTS[parts.scheme])

    @property
    def is_loopback(self) -> bool:
        """Does nothing that is sent there leave the machine?"""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls else 'ldap'}://{host}:{self.port}"


def _is_whole(text: str, netloc: str, host: str) -> bool:
    """Is the text nothing but scheme, host and port?"""
    whole = text.partition("://")[2].rstrip("/") == netloc and "@" not in netloc
    return whole and _HOST.fullmatch(host) is not None

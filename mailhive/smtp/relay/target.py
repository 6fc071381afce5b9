"""What to connect to, how far it is trusted, and what a message asks of that."""

from enum import Enum
from typing import Any

from attrs import frozen
from twisted.internet.ssl import optionsForClientTLS, platformTrust

from mailhive.smtp.client_login import Login
from mailhive.smtp.relay.tls import AnyCertificate, Dane, DaneCertificate

__all__ = ["Demand", "Security", "Target"]


class Security(Enum):
    """What a connection has to be."""

    NONE = "none"  # plain
    OPPORTUNISTIC = "opportunistic"  # encrypted if that can be had, with whomever
    ENCRYPTED = "encrypted"  # encrypted, with whomever
    DANE = "dane"  # encrypted, and the server is the one of the TLSA records
    STARTTLS = "starttls"  # encrypted, and the server is who it should be
    IMPLICIT = "implicit"  # the same, from the first octet


class Demand(Enum):
    """What a message says of the way that it takes (RFC 8689)."""

    USUAL = "usual"
    TLS = "tls"  # REQUIRETLS: by servers with TLS that prove who they are, or not at all
    NONE = "none"  # TLS-Required: No: to arrive counts for more than what domains ask for


@frozen
class Target:
    """An address to connect to, and how."""

    host: str
    address: str
    port: int
    security: Security
    trust: Any = None  # for `optionsForClientTLS`; None: the system's
    login: Login | None = None
    dane: Dane | None = None  # with Security.DANE

    def creator(self, security: Security) -> Any:
        """The `IOpenSSLClientConnectionCreator` for `security`."""
        if security in (Security.OPPORTUNISTIC, Security.ENCRYPTED):
            return AnyCertificate(self.host)
        if security is Security.DANE:
            assert self.dane is not None
            return DaneCertificate(self.dane)
        return optionsForClientTLS(self.host, trustRoot=self.trust or platformTrust())

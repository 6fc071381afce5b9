"""The TLS side of connections to other servers, and what a server has to prove by it."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from zope.interface import implementer

from mailhive.smtp.relay.tlsa import Tlsa, verify

__all__ = ["AnyCertificate", "Dane", "DaneCertificate"]


@frozen
class Dane:
    """What the DNS asks of a server (RFC 7672).

    `base` is the name that its TLSA records are found under; its certificate may be for
    `names`, of which that is the first.  Without `records` it has to have TLS, and that
    is all (§2.2).
    """

    base: str
    names: tuple[str, ...]
    records: tuple[Tlsa, ...]


@implementer(IOpenSSLClientConnectionCreator)
class AnyCertificate:
    """TLS with whoever answers, for want of anything to hold it to (RFC 7435).

    Better than none against those who only listen.
    """

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        options = CertificateOptions(
            verify=False, insecurelyLowerMinimumTo=TLSVersion.TLSv1_2, acceptableProtocols=None
        )
        self._context = options.getContext()

    def clientConnectionForTLS(self, _: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not self._hostname.replace(".", "").isdigit() and ":" not in self._hostname:
            connection.set_tlsext_host_name(self._hostname.encode("ascii"))
        return connection


class DaneCertificate(AnyCertificate):
    """TLS with the server that TLSA records are for; `problem` is asked after the handshake."""

    def __init__(self, dane: Dane) -> None:
        super().__init__(dane.base)  # RFC 7672 §8.1: the name in SNI
        self._dane = dane

    def problem(self, chain: Sequence[x509.Certificate]) -> str | None:
        """Why a server is not to be trusted that shows these certificates."""
        return verify(self._dane.records, chain, self._dane.names)

"""Certificates for tests, which sign themselves or each other."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

__all__ = ["Pem", "make_certificate"]


@frozen
class Pem:
    """A certificate and its key, as the content of PEM files."""

    certificate: bytes
    private_key: bytes

    @property
    def x509(self) -> x509.Certificate:
        """The certificate, the first if there are several."""
        return x509.load_pem_x509_certificate(self.certificate)


def make_certificate(*names: str, days: float = 30, issuer: Pem | None = None) -> Pem:
    """A certificate for host names and IP addresses; it has expired if `days` is negative.

    With an `issuer` it is signed by that one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    by, by_key = (name, key) if issuer is None else (issuer.x509.subject, _key(issuer))
    made = (
        x509.CertificateBuilder(by, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(by_key, hashes.SHA256())
    )
    return Pem(
        made.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _key(pem: Pem) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.private_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""TLS on the server's side of a connection."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509, PKey
from twisted.internet.ssl import CertificateOptions, TLSVersion

__all__ = ["server_context"]


def server_context(certificate: Path, private_key: Path) -> CertificateOptions:
    """Context factory for a PEM certificate, with its chain, and its key; TLS 1.2 and later.

    OSError or ValueError when the files cannot be used.
    """
    first, *chain = load_pem_x509_certificates(certificate.read_bytes())
    key = load_pem_private_key(private_key.read_bytes(), None)
    return CertificateOptions(
        privateKey=PKey.from_cryptography_key(key),  # type: ignore[arg-type]
        certificate=X509.from_cryptography(first),
        extraCertChain=[X509.from_cryptography(link) for link in chain],
        insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
    )

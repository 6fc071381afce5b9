"""TLS on the server's side of a connection."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from twisted.internet.ssl import CertificateOptions, TLSVersion

__all__ = ["server_context"]


def server_context(certificate: Path, private_key: Path) -> CertificateOptions:
    """Context factory for a PEM certificate, with its chain, and its key; TLS 1.2 and later.

    OSError or ValueError when the files cannot be used.
    """
    # Twisted hands them to pyOpenSSL as they are, though it names an older type.
    certificates: list[Any] = load_pem_x509_certificates(certificate.read_bytes())
    key: Any = load_pem_private_key(private_key.read_bytes(), None)
    return CertificateOptions(
        privateKey=key,
        certificate=certificates[0],
        extraCertChain=certificates[1:],
        insecurelyLowerMinimumTo=TLSVersion.TLSv1_2,
    )

"""What ties a login to the TLS connection it is made on (RFC 5056)."""

from hashlib import sha256, sha384, sha512
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.SSL import Connection

__all__ = ["channel_bindings"]

#: By the digest of a certificate's signature; RFC 5929 §4.1 has SHA-256 for weak ones.
_DIGESTS = {"md5": sha256, "sha1": sha256, "sha256": sha256, "sha384": sha384, "sha512": sha512}


def channel_bindings(transport: Any) -> dict[str, bytes]:
    """The data of each type of channel binding that there is; none without TLS 1.3.

    Before TLS 1.3 they need extensions that cannot be asked for here (RFC 9266 §4.2), and
    clients use a type of their own, `tls-unique`, which is not safe without those either.
    """
    handle = transport.getHandle() if hasattr(transport, "getHandle") else None
    if not isinstance(handle, Connection) or handle.get_protocol_version_name() != "TLSv1.3":
        return {}
    # RFC 9266 §2
    exported = handle.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    bindings = {"tls-exporter": exported}
    certificate = handle.get_certificate()
    algorithm = certificate.to_cryptography().signature_hash_algorithm if certificate else None
    digest = _DIGESTS.get(algorithm.name) if algorithm else None
    if certificate and digest:
        der = certificate.to_cryptography().public_bytes(Encoding.DER)
        bindings["tls-server-end-point"] = digest(der).digest()  # RFC 5929 §4.1
    return bindings

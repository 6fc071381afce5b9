"""TLSA records: which certificates they are for (RFC 6698, RFC 7671, RFC 7672 §3).  No I/O.

Of the usages SMTP has two (RFC 7672 §3.1):

DANE-EE(3)  the server has this key; names, dates and signatures say nothing more
DANE-TA(2)  the server's certificate leads to this one, is for one of the names that are
            expected, and has not expired
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from hashlib import sha256, sha512

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags

__all__ = ["Tlsa", "is_for", "parse_tlsa", "usable", "verify"]

#: Records of a server that are looked at.
_MOST_RECORDS = 100


class Usage(IntEnum):
    """RFC 6698 §2.1.1, without those of PKIX, which SMTP cannot use (RFC 7672 §3.1.3)."""

    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """RFC 6698 §2.1.2."""

    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    """RFC 6698 §2.1.3."""

    FULL = 0
    SHA_256 = 1
    SHA_512 = 2


_DIGESTS = {Matching.SHA_256: sha256, Matching.SHA_512: sha512}


@frozen
class Tlsa:
    """A record that can be used."""

    usage: Usage
    selector: Selector
    matching: Matching
    data: bytes

    def matches(self, certificate: x509.Certificate) -> bool:
        """Is it for this certificate, or its key?"""
        if self.selector is Selector.CERT:
            selected = certificate.public_bytes(Encoding.DER)
        else:
            key = certificate.public_key()
            selected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = _DIGESTS.get(self.matching)
        return (digest(selected).digest() if digest else selected) == self.data


def parse_tlsa(octets: bytes) -> Tlsa | None:
    """A record from its octets (RFC 6698 §2.1); None if it cannot be used."""
    try:
        usage, selector, matching = Usage(octets[0]), Selector(octets[1]), Matching(octets[2])
    except (IndexError, ValueError):
        return None
    record = Tlsa(usage, selector, matching, octets[3:])
    digest = _DIGESTS.get(matching)
    if digest is not None:
        return record if len(record.data) == digest().digest_size else None
    try:
        if selector is Selector.CERT:
            x509.load_der_x509_certificate(record.data)
        else:
            load_der_public_key(record.data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return record


def usable(records: Iterable[bytes]) -> tuple[Tlsa, ...]:
    """Those that can be used; of digests, the strongest that there is (RFC 7671 §9)."""
    parsed = [parse_tlsa(octets) for octets in list(records)[:_MOST_RECORDS]]
    found = sorted({record for record in parsed if record is not None}, key=_order)
    best = {
        (record.usage, record.selector): record.matching
        for record in found
        if record.matching is not Matching.FULL
    }
    return tuple(
        record
        for record in found
        if record.matching in (Matching.FULL, best.get((record.usage, record.selector)))
    )


def verify(
    records: Sequence[Tlsa], chain: Sequence[x509.Certificate], names: Sequence[str]
) -> str | None:
    """Why the certificates that a server shows, its own first, are not as they should be.

    `names` are those that its certificate may be for, in A-labels.
    """
    if not chain:
        return "the server has no certificate"
    if any(record.usage is Usage.DANE_EE and record.matches(chain[0]) for record in records):
        return None  # RFC 7672 §3.1.1: whatever else it says
    anchors = [
        anchor
        for record in records
        if record.usage is Usage.DANE_TA
        for anchor in _anchors(record, chain)
    ]
    if not anchors:
        return "the certificate is not that of the TLSA records"
    if not any(is_for(chain[0], name) for name in names):  # RFC 7672 §3.2.2
        return f"the certificate is not for {names[0]}"
    return _chain_problem(chain, anchors)


def is_for(certificate: x509.Certificate, name: str) -> bool:
    """Is it a certificate for a host of this name (RFC 7672 §3.2.3)?"""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        patterns = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        patterns = []
    except ValueError:
        return False
    if not patterns:  # the common name counts if there is no other
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        patterns = [str(each.value) for each in common]
    wanted = name.lower().rstrip(".")
    above = wanted.partition(".")[2]
    return any(
        above == pattern[2:] and "." in above if pattern.startswith("*.") else wanted == pattern
        for pattern in (each.lower().rstrip(".") for each in patterns)
    )


def _order(record: Tlsa) -> tuple[int, int, int, bytes]:
    return record.usage, record.selector, record.matching, record.data


def _anchors(record: Tlsa, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates that are trusted because of a DANE-TA record."""
    shown = [certificate for certificate in chain[1:] if record.matches(certificate)]
    if shown or record.matching is not Matching.FULL:
        return shown
    # RFC 7671 §5.2: a record with all of it stands for what the server need not show.
    if record.selector is Selector.CERT:
        return [x509.load_der_x509_certificate(record.data)]
    return [certificate for certificate in chain if _is_signed_by(certificate, record.data)]


def _is_signed_by(certificate: x509.Certificate, key_data: bytes) -> bool:
    key = load_der_public_key(key_data)
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    try:
        parameters = certificate.signature_algorithm_parameters
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, signed, parameters, certificate.signature_hash_algorithm)  # type: ignore[arg-type]
            case ec.EllipticCurvePublicKey():
                key.verify(signature, signed, parameters)  # type: ignore[arg-type]
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
                key.verify(signature, signed)
            case _:
                return False
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _chain_problem(
    chain: Sequence[x509.Certificate], anchors: Iterable[x509.Certificate]
) -> str | None:
    store = X509Store()
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # an anchor need not have signed itself
    for anchor in anchors:
        store.add_cert(X509.from_cryptography(anchor))
    server, *others = map(X509.from_cryptography, chain)
    try:
        X509StoreContext(store, server, others).verify_certificate()
    except X509StoreContextError as error:
        return f"the certificate cannot be trusted: {error}"
    return None

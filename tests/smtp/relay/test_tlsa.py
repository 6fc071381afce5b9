"""TLSA records against certificates."""

from hashlib import sha256, sha512

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.relay.tlsa import is_for, parse_tlsa, usable, verify
from mailhive.testing.certificates import make_certificate

ROOT = make_certificate("Root")
ISSUER = make_certificate("Issuer", issuer=ROOT)
SERVER = make_certificate("mx.example.org", issuer=ISSUER)
OLD = make_certificate("mx.example.org", days=-1, issuer=ISSUER)
OTHER = make_certificate("other.example", issuer=ISSUER)
STRANGER = make_certificate("Issuer")
CHAIN = [SERVER.x509, ISSUER.x509, ROOT.x509]
NAMES = ["mx.example.org", "example.org"]


def der(certificate: Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def spki(certificate: Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def record(usage: int, selector: int, matching: int, certificate: Certificate) -> bytes:
    data = (der, spki)[selector](certificate)
    digest = {0: data, 1: sha256(data).digest(), 2: sha512(data).digest()}[matching]
    return bytes((usage, selector, matching)) + digest


@pytest.mark.parametrize("matching", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
def test_usages(selector: int, matching: int) -> None:
    def problem(usage: int, of: Certificate, chain: list[Certificate]) -> str | None:
        return verify(usable([record(usage, selector, matching, of)]), chain, NAMES)

    # DANE-EE: of the certificate itself, whatever it says and whoever signed it.
    for pem in (SERVER, OLD, OTHER, STRANGER):
        assert problem(3, pem.x509, [pem.x509, STRANGER.x509]) is None
    assert problem(3, OTHER.x509, CHAIN) and problem(3, ISSUER.x509, CHAIN)
    # DANE-TA: of one that it leads to.
    for anchor in (ISSUER, ROOT):
        assert problem(2, anchor.x509, CHAIN) is None
    assert "is not for mx.example.org" in str(problem(2, ROOT.x509, [OTHER.x509, *CHAIN[1:]]))
    assert "expired" in str(problem(2, ROOT.x509, [OLD.x509, *CHAIN[1:]]))
    assert problem(2, STRANGER.x509, [SERVER.x509, STRANGER.x509])  # did not sign it
    assert problem(2, STRANGER.x509, CHAIN)
    assert problem(2, ROOT.x509, []) and problem(3, SERVER.x509, [])
    # A digest needs the certificate, all of it does not (RFC 7671 §5.2).
    assert (problem(2, ISSUER.x509, [SERVER.x509]) is None) == (matching == 0)


def test_any_of_several_will_do() -> None:
    records = [record(3, 1, 1, OTHER.x509), record(2, 0, 1, ROOT.x509), b"\3\1\1"]
    assert verify(usable(records), CHAIN, NAMES) is None
    assert verify(usable(records), [SERVER.x509], NAMES) is not None


def test_what_can_be_used() -> None:
    good = record(3, 1, 1, SERVER.x509)
    for bad in (
        b"",
        b"\3\1",
        b"\3\1\1",
        good + b"x",
        b"\0" + good[1:],  # RFC 7672 §3.1.3
        b"\1" + good[1:],
        b"\xff" + good[1:],
        b"\3\2" + good[2:],
        b"\3\1\3" + good[3:],
        b"\3\1\0" + good[3:],  # no key
        b"\2\0\0" + good[3:],  # no certificate
    ):
        assert parse_tlsa(bad) is None
        assert usable([bad]) == ()
    assert usable([good, good]) == usable([good]) != ()


def test_the_strongest_digest_counts() -> None:
    # RFC 7671 §9, by usage and selector.
    weak, strong = record(3, 1, 1, SERVER.x509), record(3, 1, 2, OTHER.x509)
    assert verify(usable([weak, strong]), CHAIN, NAMES) is not None
    assert verify(usable([weak, record(3, 0, 2, OTHER.x509)]), CHAIN, NAMES) is None
    assert verify(usable([record(3, 1, 0, SERVER.x509), strong]), CHAIN, NAMES) is None


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_octets(records: list[bytes]) -> None:
    verify(usable(records), CHAIN, NAMES)


def test_names() -> None:
    certificate = make_certificate("*.example.org", "Mx.b.example", "*.com", "192.0.2.1").x509
    for name, is_good in {
        "mx.example.org": True,
        "MX.EXAMPLE.org.": True,
        "a.mx.example.org": False,
        "example.org": False,
        "mx.b.example": True,
        "b.example": False,
        "example.com": False,
        "192.0.2.1": False,
    }.items():
        assert is_for(certificate, name) is is_good, name

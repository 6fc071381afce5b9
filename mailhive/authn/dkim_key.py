"""Public keys of signers, as they are published (RFC 6376 §3.6, RFC 8463)."""

from base64 import b64decode

from attrs import frozen
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hashes import Hash as Digest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailhive.authn.tags import TagError, parse_tags, without_space

__all__ = ["DkimKey", "KeyUnusable", "parse_key"]

_ED25519_OCTETS = 32


class KeyUnusable(ValueError):
    """The record has no key that can be used."""


@frozen
class DkimKey:
    """A key; `testing` if the domain only tries signing, `strict` if d= has to be that of i=."""

    kind: str  # rsa or ed25519
    public: RSAPublicKey | Ed25519PublicKey
    testing: bool = False
    strict: bool = False

    @property
    def bits(self) -> int:
        """The size of an RSA key."""
        return self.public.key_size if isinstance(self.public, RSAPublicKey) else 256

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Is that the signature, by SHA-256, of what was signed?"""
        try:
            if isinstance(self.public, RSAPublicKey):
                self.public.verify(signature, signed, PKCS1v15(), SHA256())
            else:
                # RFC 8463 §3: it is the hash that is signed
                digest = Digest(SHA256())
                digest.update(signed)
                self.public.verify(signature, digest.finalize())
        except InvalidSignature:
            return False
        return True


def parse_key(text: bytes) -> DkimKey:
    """The key of a TXT record; `KeyUnusable` says why there is none."""
    try:
        tags = parse_tags(text)
    except TagError as error:
        raise KeyUnusable(f"the key record cannot be read: {error}") from error
    # RFC 6376 §3.6.1
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise KeyUnusable("the key record is of another version")
    if "p" not in tags:
        raise KeyUnusable("the key record has no key")
    if not tags["p"]:
        raise KeyUnusable("the key was revoked")
    if "h" in tags and "sha256" not in _listed(tags["h"]):
        raise KeyUnusable("the key is not for SHA-256")
    if not {"*", "email"} & _listed(tags.get("s", "*")):
        raise KeyUnusable("the key is not for mail")
    kind = tags.get("k", "rsa")
    flags = _listed(tags.get("t", ""))
    try:
        octets = b64decode(without_space(tags["p"]), validate=True)
        return DkimKey(kind, _public(kind, octets), "y" in flags, "s" in flags)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable("the key cannot be read") from error


def _public(kind: str, octets: bytes) -> RSAPublicKey | Ed25519PublicKey:
    if kind == "ed25519" and len(octets) == _ED25519_OCTETS:
        return Ed25519PublicKey.from_public_bytes(octets)
    if kind == "rsa":
        found = load_der_public_key(octets)
        if isinstance(found, RSAPublicKey):
            return found
    raise ValueError("it is of another kind")


def _listed(value: str) -> set[str]:
    """The members of a list with colons between."""
    return set(without_space(value).split(":"))

"""Keys that verify signatures of tokens (RFC 7517), from PEM files and key sets.

A key verifies the algorithms of its own kind and nothing else, whatever a token
says of itself: neither "none" nor an HMAC keyed with the public key can be
(RFC 8725 §2.1, §3.1).
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

__all__ = ["VerifyingKey", "read_keys", "verified"]

# RFC 9864 renames EdDSA; tokens by its old name are as good as ever.
warnings.filterwarnings("ignore", category=SecurityWarning, module="joserfc")

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "Ed448": ("EdDSA", "Ed448"),
}
_LEAST_RSA = 2_048  # bits (RFC 7518 §3.3)
_MOST_KEYS = 100  # of a source

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@frozen
class VerifyingKey:
    """A public key, the name that its source gives it, and what it verifies."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: RSAKey | ECKey | OKPKey = field(repr=False, eq=False)

    def may_verify(self, algorithm: str, kid: str | None) -> bool:
        """Could it be the key of a token whose header says this?"""
        return algorithm in self.algorithms and (kid is None or self.kid in (None, kid))


def verified(token: str, algorithm: str, keys: Iterable[VerifyingKey]) -> bytes | None:
    """The payload of a compact JWS that one of the keys has signed, else None.

    ValueError for what is no such JWS.
    """
    for key in keys:
        try:
            payload = jws.deserialize_compact(token, key.key, [algorithm]).payload
        except JoseError as error:
            if error.error != "bad_signature":
                raise ValueError("no JWS that is understood") from error
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError("no JWS that is understood") from error
        else:
            return payload
    return None


def read_keys(content: bytes) -> tuple[VerifyingKey, ...]:
    """The keys of a JWK Set or of a PEM file; ValueError says why there is none.

    Keys that are not for signatures, or of a kind that is not known, are left out
    of a set (RFC 7517 §5); a PEM file holds public keys and certificates only.
    """
    keys = _of_set(content) if content.lstrip()[:1] == b"{" else _of_pem(content)
    if not keys:
        raise ValueError("has no key that verifies signatures")
    if len(keys) > _MOST_KEYS:
        raise ValueError(f"has more than {_MOST_KEYS} keys")
    return tuple(keys)


def _of_pem(content: bytes) -> list[VerifyingKey]:
    found = []
    for block in _BLOCK.finditer(content):
        kind = block[1].decode()
        if "PRIVATE" in kind:
            raise ValueError("has a private key; allowed are public keys and certificates")
        try:
            if kind == "CERTIFICATE":
                public: Any = load_pem_x509_certificate(block[0]).public_key()
            else:
                public = load_pem_public_key(block[0])
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"has a {kind} that cannot be read") from error
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        found.append(_verifying(pem))
    return found


def _verifying(pem: bytes) -> VerifyingKey:
    for cls in (RSAKey, ECKey, OKPKey):
        try:
            key = cls.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        algorithms = _algorithms(key)
        if algorithms:
            return VerifyingKey(None, algorithms, key)
    raise ValueError(
        f"has a key that is not known; allowed are RSA of {_LEAST_RSA} bits or more, "
        "P-256, P-384, P-521, Ed25519 and Ed448"
    )


def _of_set(content: bytes) -> list[VerifyingKey]:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("is no JSON") from error
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("is no JWK Set")
    keys = (_of_jwk(jwk) for jwk in listed if isinstance(jwk, dict))
    return [key for key in keys if key is not None]


def _of_jwk(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    """None for a key that is not of use here."""
    classes = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    cls: Any = classes.get(str(jwk.get("kty")))
    operations = jwk.get("key_ops")
    if cls is None or jwk.get("use", "sig") != "sig":
        return None
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    try:
        # The rest is none of the key itself: kid and alg are checked here.
        key = cls.import_key({name: jwk[name] for name in _PARAMETERS if name in jwk})
    except (JoseError, ValueError, TypeError):
        return None
    algorithms = _algorithms(key)
    if "alg" in jwk:
        algorithms = tuple(name for name in algorithms if name == jwk["alg"])
    kid = jwk.get("kid")
    if not algorithms or not isinstance(kid, str | None):
        return None
    return VerifyingKey(kid, algorithms, key)


_PARAMETERS = ("kty", "n", "e", "crv", "x", "y")


def _algorithms(key: RSAKey | ECKey | OKPKey) -> tuple[str, ...]:
    if isinstance(key, RSAKey):
        return _RSA if key.public_key.key_size >= _LEAST_RSA else ()
    return _ALGORITHMS.get(key.curve_name, ())

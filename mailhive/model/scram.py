"""What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677)."""

import hmac
from hashlib import sha256

from attrs import field, frozen

__all__ = ["DIGEST_SIZE", "ScramLogin", "ScramVerifier"]

#: Octets of a key and of a proof.
DIGEST_SIZE = 32


@frozen
class ScramVerifier:
    """Tells whether a client knows the password, and proves to the client that we know of it."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def is_proved(self, message: bytes, proof: bytes) -> bool:
        """Is this the proof of somebody with the password, for this AuthMessage?"""
        if len(proof) != DIGEST_SIZE:
            return False
        signature = hmac.digest(self.stored_key, message, "sha256")
        key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
        return hmac.compare_digest(sha256(key).digest(), self.stored_key)

    def signature(self, message: bytes) -> bytes:
        """The ServerSignature of an AuthMessage."""
        return hmac.digest(self.server_key, message, "sha256")


@frozen
class ScramLogin:
    """Whose name a proof lets in; nobody's, if that is None, while the verifier looks alike.

    `credential` is what `Principal.credential` is to be.
    """

    verifier: ScramVerifier
    name: str | None = None
    credential: str = ""

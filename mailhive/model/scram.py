"""What is made of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677)."""

import hmac
from hashlib import pbkdf2_hmac, sha256

from attrs import field, frozen

__all__ = ["DIGEST_SIZE", "ScramKeys", "ScramLogin", "ScramVerifier"]

#: Octets of a key and of a proof.
DIGEST_SIZE = 32


@frozen
class ScramKeys:
    """What who has the password makes of it, with salt and iterations."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str, salt: bytes, iterations: int) -> "ScramKeys":
        """Of a password as SASLprep leaves it.  Takes its time; call it on a thread."""
        salted = pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        return cls(
            hmac.digest(salted, b"Client Key", "sha256"),
            hmac.digest(salted, b"Server Key", "sha256"),
        )

    @property
    def stored_key(self) -> bytes:
        return sha256(self.client_key).digest()

    def proof(self, message: bytes) -> bytes:
        """The ClientProof for an AuthMessage."""
        signature = hmac.digest(self.stored_key, message, "sha256")
        return bytes(one ^ other for one, other in zip(self.client_key, signature, strict=True))

    def signature(self, message: bytes) -> bytes:
        """The ServerSignature of an AuthMessage."""
        return hmac.digest(self.server_key, message, "sha256")


@frozen
class ScramVerifier:
    """What a server keeps: tells whether a client has the password, and proves to know of it."""

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

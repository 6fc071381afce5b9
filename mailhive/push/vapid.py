"""Who pushes: a key pair of the server, and signed statements to push services (RFC 8292)."""

import os
from base64 import urlsafe_b64encode
from collections import OrderedDict
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from mailhive.errors import MailhiveError
from mailhive.fetch.url import parse_url

__all__ = ["KeyFileError", "Signer", "load_signer"]

#: Seconds for which a statement holds at least (RFC 8292 §2 allows a day), and
#: after which a new one is made.
LIFE = 12 * 3600
FRESH = 3600
#: Push services for which statements are kept.
_KEPT = 1_000


class KeyFileError(MailhiveError):
    """The file of the key pair cannot be used."""


class Signer:
    """Signs with one private key.  `contact` is a URI that operators of push services find us by.

    `public_key` is the point of the key, as clients and push services are given it.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, contact: str) -> None:
        point = key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.public_key = urlsafe_b64encode(point).rstrip(b"=").decode()
        self._key = ECKey.import_key(_pem(key))
        self._contact = contact
        self._tokens: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def authorization(self, url: str, now: float) -> str:
        """The Authorization header of a push to `url` at `now` seconds (RFC 8292 §3)."""
        origin = parse_url(url).origin
        turn = int(now // FRESH)
        kept, token = self._tokens.get(origin, (-1, ""))
        if kept != turn:
            # A statement that is used again saves the push service checking it.
            claims = {"aud": origin, "exp": turn * FRESH + FRESH + LIFE, "sub": self._contact}
            token = jwt.encode({"alg": "ES256"}, claims, self._key)
            self._tokens[origin] = turn, token
            if len(self._tokens) > _KEPT:
                self._tokens.popitem(last=False)
        return f"vapid t={token}, k={self.public_key}"


def load_signer(path: Path, contact: str) -> Signer:
    """The signer whose key is in a file, which is made if there is none; blocks.

    Whoever takes the file away makes every subscription be made anew (RFC 9749 §5).
    `KeyFileError`, or OSError.
    """
    if not path.exists():
        _make(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} is not a private key of the curve P-256 in PEM form")
    return Signer(key, contact)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _make(path: Path) -> None:
    pem = _pem(ec.generate_private_key(ec.SECP256R1()))
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

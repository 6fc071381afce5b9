"""Our own tokens: signed by a key that is made at the first start.

A token is a JSON Web Token whose `jti` the directory knows until it is removed.
`mailhive token` makes them.
"""

import hmac
import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from attrs import define, field
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from mailhive.auth.claims import Expectations, Header, InvalidToken, read_claims
from mailhive.auth.keys import VerifyingKey, verified
from mailhive.config.settings import Settings
from mailhive.errors import MailhiveError

__all__ = ["TokenKey", "TokenKeyError"]

#: Where the key is if nothing says otherwise, in the data directory.
KEY_FILE = "token.key"
ISSUER = "mailhive"
_ALGORITHM = "Ed25519"  # RFC 9864
_EXPECTED = Expectations(issuer=ISSUER, requires_expiry=False)


class TokenKeyError(MailhiveError):
    """The file of the key cannot be used; the message says why."""


@define
class TokenKey:
    """The key in a file; `kid` names it in the tokens it signs."""

    path: Path
    kid: str = ""
    _key: Any = field(default=None, repr=False)  # OKPKey

    @classmethod
    def of(cls, settings: Settings) -> "TokenKey":
        """The one that is configured."""
        return cls(settings.jmap.token.key_file or settings.server.data_dir / KEY_FILE)

    def open(self) -> None:
        """Read the key, which is made if there is none; `TokenKeyError`.

        Safe when several processes do it at once.  Readable by its owner only.
        """
        try:
            if not self.path.exists():
                _make(self.path)
            key = OKPKey.import_key(self.path.read_bytes())
            if not key.is_private or key.curve_name != "Ed25519":
                raise ValueError("no private key of Ed25519")
        except OSError as error:
            raise TokenKeyError(f"cannot use {self.path}: {error.strerror}") from error
        except (JoseError, ValueError, TypeError) as error:
            message = f"{self.path} is not a private key of Ed25519 in PEM"
            raise TokenKeyError(message) from error
        self._key, self.kid = key, key.thumbprint()

    def derived(self, purpose: bytes) -> bytes:
        """A key of 32 octets for something else, which tells nothing of this one."""
        private = self._key.as_dict(private=True)["d"]
        return hmac.digest(private.encode(), purpose, "sha256")

    def sign(self, name: str, token_id: str, issued: int, expires: int | None) -> str:
        """A token for the principal `name`; times are in seconds."""
        claims: dict[str, Any] = {"iss": ISSUER, "sub": name, "jti": token_id, "iat": issued}
        if expires is not None:
            claims["exp"] = expires
        header = {"alg": _ALGORITHM, "kid": self.kid}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM])

    def is_of(self, header: Header) -> bool:
        """Does a token say that this key has signed it?"""
        return header.kid == self.kid and header.algorithm == _ALGORITHM

    def verify(self, token: str, now: float) -> str:
        """The `jti` of a token that `is_of` this key; `InvalidToken`."""
        key = VerifyingKey(self.kid, (_ALGORITHM,), self._key)
        try:
            payload = verified(token, _ALGORITHM, [key])
        except ValueError:
            payload = None
        if payload is None:
            raise InvalidToken("The signature of the token is wrong")
        claims = read_claims(payload)
        claims.pop("iat", None)  # that the clock was set back since is nothing against a token
        _EXPECTED.check(claims, now)
        token_id: str = claims["jti"]
        return token_id


def _make(path: Path) -> None:
    """Write a new key, unless somebody else does in the meantime."""
    part = path.with_name(f".{path.name}.{token_urlsafe(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(OKPKey.generate_key("Ed25519").as_pem(private=True))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(part)  # never over another one
    except FileExistsError:
        pass
    finally:
        part.unlink()

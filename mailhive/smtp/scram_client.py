"""The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without I/O.

scram = ScramClient(user, password)
salt, iterations = scram.challenged(the server's answer to scram.first())
keys = ScramKeys.of(scram.password, salt, iterations)     # takes its time
scram.is_server(the server's answer to scram.final(keys))
"""

import hmac
import re
import secrets
from base64 import b64decode, b64encode

from passlib.utils import saslprep

from mailhive.model.scram import ScramKeys

__all__ = ["ScramClient", "ScramError"]

# RFC 5802 §7; what is reserved for mandatory extensions (`m=`) is understood by nobody.
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\--~]{1,1000}),s=(?P<salt>[A-Za-z0-9+/=]{1,1000}),i=(?P<count>[1-9][0-9]{0,7})"
    rb"(?:,[A-Za-z]=[^,\0]+)*"
)
_SERVER_FINAL = re.compile(rb"v=(?P<signature>[A-Za-z0-9+/=]{1,1000})(?:,[A-Za-z]=[^,\0]+)*")
_NONCE_OCTETS = 18
# RFC 7677 §4 asks for no fewer; more would be work for nothing.
_FEWEST = 4_096
_MOST = 2_000_000


class ScramError(ValueError):
    """What the server says makes no sense."""


class ScramClient:
    """One login.  ValueError for what SASLprep (RFC 4013) does not allow; `nonce` is for tests."""

    def __init__(self, user: str, password: str, nonce: str = "") -> None:
        name, self.password = saslprep(user), saslprep(password)
        if not name or not self.password:
            raise ValueError("an empty name or password")
        self._nonce = nonce or b64encode(secrets.token_bytes(_NONCE_OCTETS)).decode()
        escaped = name.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={escaped},r={self._nonce}".encode()
        self._server_first = b""
        self._whole_nonce = b""
        self._signature = b""

    def first(self) -> bytes:
        """The client-first-message, without a channel binding."""
        return b"n,," + self._bare

    def challenged(self, server_first: bytes) -> tuple[bytes, int]:
        """Salt and iteration count of the server-first-message."""
        match = _SERVER_FIRST.fullmatch(server_first)
        if match is None:
            raise ScramError("not a server-first-message")
        own = self._nonce.encode()
        if not match["nonce"].startswith(own) or len(match["nonce"]) == len(own):
            raise ScramError("the nonce is not ours and theirs")
        iterations = int(match["count"])
        if not _FEWEST <= iterations <= _MOST:
            raise ScramError(f"{iterations} iterations")
        self._server_first, self._whole_nonce = server_first, match["nonce"]
        return _decoded(match["salt"]), iterations

    def final(self, keys: ScramKeys) -> bytes:
        """The client-final-message, by the keys of password, salt and iterations."""
        without_proof = b"c=biws,r=" + self._whole_nonce
        message = b",".join((self._bare, self._server_first, without_proof))
        self._signature = keys.signature(message)
        return without_proof + b",p=" + b64encode(keys.proof(message))

    def is_server(self, server_final: bytes) -> bool:
        """Has the server proved that it knows of the password?"""
        match = _SERVER_FINAL.fullmatch(server_final)
        if match is None or not self._signature:
            return False
        try:
            return hmac.compare_digest(_decoded(match["signature"]), self._signature)
        except ScramError:
            return False


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ScramError("not base64") from None

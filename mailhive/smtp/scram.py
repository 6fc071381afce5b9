"""The exchange of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), without I/O.

client-first names the login, whose verifier is then looked up; server-first has its salt;
client-final has the proof, and the channel binding if there is one; server-final proves
in turn that the server has the verifier.
"""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

from passlib.utils import saslprep

from mailhive.model.scram import ScramLogin
from mailhive.smtp.exchange import Exchange, Lookup, Proof, SaslError, Step

__all__ = ["Scram"]

# RFC 5802 §7; what is reserved for mandatory extensions (`m=`) is understood by nobody.
_CLIENT_FIRST = re.compile(
    r"(?P<header>(?P<flag>[ny]|p=(?P<type>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,\0]+))?,)"
    r"(?P<bare>n=(?P<login>[^,\0]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)"
)
_CLIENT_FINAL = re.compile(
    r"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*)"
    r",p=(?P<proof>[A-Za-z0-9+/=]+)"
)
_NAME = re.compile(r"(?:[^=]|=2C|=3D)*")
_NONCE_OCTETS = 18


class Scram(Exchange):
    """One exchange.

    `bindings` has the data of channel bindings by their types; `plus`: one of them is to
    be used.  `nonce` is for tests.
    """

    def __init__(self, bindings: Mapping[str, bytes], *, plus: bool, nonce: str = "") -> None:
        self._bindings = bindings
        self._plus = plus
        self._own_nonce = nonce or b64encode(secrets.token_bytes(_NONCE_OCTETS)).decode()
        self._found: ScramLogin | None = None
        self._login = self._nonce = self._client_first = self._server_first = ""
        self._binding = b""  # what `c=` has to be

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return b""
        try:
            text = response.decode("utf-8")
        except UnicodeDecodeError:
            raise SaslError("not UTF-8") from None
        if self._found is not None:
            return self._final(self._found, text)
        return self._first(text)

    def found(self, login: ScramLogin) -> bytes:
        """The challenge for who logs in: server-first."""
        self._found = login
        salt = b64encode(login.verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={login.verifier.iterations}"
        return self._server_first.encode()

    def _first(self, text: str) -> Lookup:
        match = _CLIENT_FIRST.fullmatch(text)
        if match is None:
            raise SaslError("not a client-first-message")
        self._login = _name(match["login"])
        if match["authzid"] and _name(match["authzid"]) != self._login:
            raise SaslError("nobody may act for another")
        kind = match["type"]
        # RFC 5802 §6: `y` of who was kept from seeing that we offer it.
        if bool(kind) != self._plus or (match["flag"] == "y" and self._bindings):
            raise SaslError("the channel binding is not that of the mechanism")
        if kind and kind not in self._bindings:
            raise SaslError("a channel binding that there is not")
        self._binding = match["header"].encode() + (self._bindings[kind] if kind else b"")
        self._client_first = match["bare"]
        self._nonce = match["nonce"] + self._own_nonce
        return Lookup(self._login, self.found)

    def _final(self, found: ScramLogin, text: str) -> Proof:
        match = _CLIENT_FINAL.fullmatch(text)
        if match is None or match["nonce"] != self._nonce:
            raise SaslError("not the client-final-message of this exchange")
        try:
            binding = b64decode(match["binding"], validate=True)
            proof = b64decode(match["proof"], validate=True)
        except ValueError:
            raise SaslError("not base64") from None
        message = f"{self._client_first},{self._server_first},{match['bare']}".encode()
        right = found.verifier.is_proved(message, proof) and binding == self._binding
        # RFC 5802 §7: the server-final-message; the client says that it has read it.
        self.success = b"v=" + b64encode(found.verifier.signature(message))
        return Proof(self._login, found, right and found.name is not None, text)


def _name(escaped: str) -> str:
    """A saslname (RFC 5802 §5.1)."""
    if _NAME.fullmatch(escaped) is None:
        raise SaslError("not a saslname")
    try:
        name = saslprep(escaped.replace("=2C", ",").replace("=3D", "="))
    except ValueError:
        name = ""
    if not name:
        raise SaslError("a name that SASLprep does not allow")
    return name

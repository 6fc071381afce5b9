"""SASL on the server's side of SMTP (RFC 4954, RFC 4422): mechanisms without I/O."""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping

from mailhive.smtp.exchange import Credentials, Exchange, Password, SaslError, Token
from mailhive.smtp.scram import Scram

__all__ = ["begin", "mechanisms"]

_KEY = re.compile(rb"[A-Za-z]+")
_SEPARATOR = b"\x01"


class _Plain(Exchange):
    """RFC 4616."""

    def step(self, response: bytes | None) -> bytes | Credentials:
        if response is None:
            return b""
        try:
            authzid, login, password = response.decode("utf-8").split("\0")
        except ValueError:
            raise SaslError("not an authorization of PLAIN") from None
        if not login or not password or authzid not in ("", login):
            raise SaslError("nobody may act for another")
        return Password(login, password)


class _Login(Exchange):
    """Never a standard, and all that some clients know (draft-murchison-sasl-login)."""

    def __init__(self) -> None:
        self._login: str | None = None

    def step(self, response: bytes | None) -> bytes | Credentials:
        if response is None:
            return b"Username:"
        text = _text(response)
        if self._login is None:
            self._login = text
            return b"Password:"
        return Password(self._login, text)


class _Bearer(Exchange):
    # RFC 7628 §3.2.2: the client answers this with an empty response.
    failure = b'{"status":"invalid_token"}'

    def step(self, response: bytes | None) -> bytes | Credentials:
        if response is None:
            return b""
        user, fields = self._parsed(response)
        scheme, _, token = fields.get("auth", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise SaslError("no bearer token")
        return Token(token.strip(), user or None)

    @abstractmethod
    def _parsed(self, response: bytes) -> tuple[str, dict[str, str]]:
        """The user that is named, if one is, and the fields."""


class _OAuthBearer(_Bearer):
    """RFC 7628 §3.1: `n,a=user@example.org,^Ahost=…^Aport=…^Aauth=Bearer …^A^A`."""

    def _parsed(self, response: bytes) -> tuple[str, dict[str, str]]:
        header, *pairs = response.split(_SEPARATOR)
        flag, mark, rest = _text(header).partition(",")
        authzid, end, _ = rest.partition(",")
        # RFC 5801 §4: there is no channel binding here, so `p=` cannot be.
        if flag not in ("n", "y") or not mark or not end or pairs[-2:] != [b"", b""]:
            raise SaslError("not a message of OAUTHBEARER")
        if authzid and not authzid.startswith("a="):
            raise SaslError("not an authorization identity")
        user = authzid[2:].replace("=2C", ",").replace("=3D", "=")
        return user, _fields(pairs[:-2])


class _XOAuth2(_Bearer):
    """What came before it, and is in wide use: `user=…^Aauth=Bearer …^A^A`."""

    def _parsed(self, response: bytes) -> tuple[str, dict[str, str]]:
        pairs = response.split(_SEPARATOR)
        if pairs[-2:] != [b"", b""]:
            raise SaslError("not a message of XOAUTH2")
        fields = _fields(pairs[:-2])
        return fields.get("user", ""), fields


_ALWAYS: dict[str, Callable[[], Exchange]] = {
    "OAUTHBEARER": _OAuthBearer,
    "XOAUTH2": _XOAuth2,
    "PLAIN": _Plain,
    "LOGIN": _Login,
}
_SCRAM = "SCRAM-SHA-256"
_PLUS = "SCRAM-SHA-256-PLUS"


def mechanisms(bindings: Mapping[str, bytes] | None = None) -> tuple[str, ...]:
    """The names of those that are offered, the best first.

    `bindings` is None where SCRAM is not, else the data of channel bindings by their types.
    """
    if bindings is None:
        return tuple(_ALWAYS)
    return (*((_PLUS,) if bindings else ()), _SCRAM, *_ALWAYS)


def begin(mechanism: str, bindings: Mapping[str, bytes] | None = None) -> Exchange:
    """An exchange of one of these, whose name is in any case.  KeyError if there is none."""
    name = mechanism.upper()
    if name in (_SCRAM, _PLUS) and name in mechanisms(bindings):
        return Scram(bindings or {}, plus=name == _PLUS)
    return _ALWAYS[name]()


def _fields(pairs: list[bytes]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        key, mark, value = pair.partition(b"=")
        if not mark or not _KEY.fullmatch(key):
            raise SaslError("not a list of fields")
        fields[key.decode("ascii")] = _text(value)
    return fields


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("not UTF-8") from None
    if "\0" in text:
        raise SaslError("a NUL")
    return text

"""A message out of header values and a tree of parts (RFC 8621 §4.6, RFC 5322, RFC 2045).

The caller has checked the input; what still cannot be written is a `FieldError`.
Every octet of a leaf arrives as it was given.  Lines end in CRLF and have at most
998 octets, also in text, which is encoded where it would not fit.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from attrs import frozen

from mailhive.mime.compose import FieldError, compose, fold_words, format_date_time, parameters
from mailhive.mime.headers import HeaderProperty

__all__ = ["BuildPart", "FieldError", "HeaderValue", "build", "encode_text"]

#: A header property and its JSON value: a list of values if it says `:all`.
HeaderValue = tuple[HeaderProperty, Any]

_MAX_LINE = 998
_ASCII = bytes(range(128))
_IN_URI = "!#$%&'()*+,-./:;=?@[]_~"
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_LINE_END = re.compile(r"\r\n|\r|\n")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+/[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+")
# RFC 2046 §5.2: these must not be encoded.
_NEVER_ENCODED = ("message/rfc822", "message/partial", "message/external-body")


@frozen
class BuildPart:
    """A part to build: a leaf with `content`, or a multipart with `parts`.

    `headers` are fields beside those that the other attributes make.
    """

    type: str
    content: bytes = b""
    parts: tuple["BuildPart", ...] | None = None
    charset: str | None = None
    name: str | None = None
    disposition: str | None = None
    cid: str | None = None
    language: Sequence[str] | None = None
    location: str | None = None
    headers: Sequence[HeaderValue] = ()


def encode_text(value: str) -> bytes:
    """The content of a text part of charset utf-8: lines end in CRLF (RFC 2046 §4.1.1)."""
    return _LINE_END.sub("\r\n", value).encode("utf-8", "replace")


def _unique() -> str:
    return secrets.token_hex(16)


def build(
    headers: Iterable[HeaderValue],
    body: BuildPart,
    *,
    host: str,
    now: int,
    unique: Callable[[], str] = _unique,
) -> bytes:
    """The octets of a message.

    Fields come in the order given; Date and Message-ID are added when they are
    not among them, with the time `now` (milliseconds since 1970) and the right
    part `host` (RFC 8621 §4.6).  `unique` gives up to 60 letters and digits that were
    never given before.
    """
    fields = list(headers)
    given = {wanted.key for wanted, _ in (*fields, *body.headers)}
    pieces = [octets for wanted, value in fields for octets in _compose(wanted, value)]
    if "date" not in given:
        pieces.append(f"Date: {format_date_time(now)}\r\n".encode("ascii"))
    if "message-id" not in given:
        pieces.append(compose("Message-ID", "MessageIds", [f"{unique()}@{host}"]))
    if "mime-version" not in given:
        pieces.append(b"MIME-Version: 1.0\r\n")
    _Builder(unique, pieces).add(body)
    return b"".join(pieces)


def _compose(wanted: HeaderProperty, value: Any) -> list[bytes]:
    values = value if wanted.all else [value]
    return [compose(wanted.field, wanted.form, one) for one in values]


class _Builder:
    def __init__(self, unique: Callable[[], str], pieces: list[bytes]) -> None:
        self._unique = unique
        self._pieces = pieces

    def add(self, part: BuildPart) -> None:
        """Append the header and the body of a part."""
        if part.parts is not None and not part.parts:
            raise FieldError("a multipart has no parts")
        boundary = self._boundary(part) if part.parts is not None else None
        given = {wanted.key for wanted, _ in part.headers}
        for wanted, value in part.headers:
            self._pieces += _compose(wanted, value)
        self._pieces += _content_fields(part, boundary, given)
        if part.parts is None:
            encoding, content = _encode(part)
            if encoding != b"7bit":
                self._pieces.append(b"Content-Transfer-Encoding: " + encoding + b"\r\n")
            self._pieces += (b"\r\n", content)
            return
        assert boundary is not None
        delimiter = b"--" + boundary.encode("ascii")
        self._pieces.append(b"\r\n")
        for sub in part.parts:
            self._pieces.append(delimiter + b"\r\n")
            self.add(sub)
            self._pieces.append(b"\r\n")
        self._pieces.append(delimiter + b"--\r\n")

    def _boundary(self, part: BuildPart) -> str:
        """A boundary that occurs nowhere in the part (RFC 2046 §5.1.1)."""
        while True:
            # RFC 2045 §6.7: "=_" occurs in neither of the encodings.
            boundary = f"=_{self._unique()}"
            if not _occurs(boundary.encode("ascii"), part):
                return boundary


def _occurs(octets: bytes, part: BuildPart) -> bool:
    return octets in part.content or any(_occurs(octets, sub) for sub in part.parts or ())


def _content_fields(part: BuildPart, boundary: str | None, given: set[str]) -> list[bytes]:
    """The fields that say what a part is (RFC 8621 §4.1.4)."""
    fields: list[bytes] = []
    if boundary is not None and "content-type" in given:
        raise FieldError("Content-Type of a multipart follows from its type")
    if "content-type" not in given:
        if _MEDIA_TYPE.fullmatch(part.type) is None:
            raise FieldError(f"{part.type[:100]!r} is not a media type")
        words = [f" {part.type}"]
        if boundary is not None:
            words = [f" {part.type};", f' boundary="{boundary}"']
        name = None if part.disposition else part.name
        named = {"charset": part.charset, "name": name}
        fields.append(fold_words("Content-Type", parameters(words, named)))
    if part.disposition is not None:
        if _TOKEN.fullmatch(part.disposition) is None:
            raise FieldError(f"{part.disposition[:100]!r} is not a disposition")
        words = parameters([f" {part.disposition}"], {"filename": part.name})
        fields.append(fold_words("Content-Disposition", words))
    if part.cid is not None:
        fields.append(compose("Content-ID", "MessageIds", [part.cid]))
    if part.language:
        fields.append(compose("Content-Language", "Text", ", ".join(part.language)))
    if part.location is not None:
        fields.append(fold_words("Content-Location", [" " + quote(part.location, safe=_IN_URI)]))
    return fields


def _encode(part: BuildPart) -> tuple[bytes, bytes]:
    """The transfer encoding to use and the content in it (RFC 2045 §6)."""
    content = part.content
    bare = _BARE.search(content) is not None
    long = max(map(len, content.split(b"\r\n"))) > _MAX_LINE
    if not bare and not long and content.isascii():
        return b"7bit", content
    if part.type in _NEVER_ENCODED:
        return (b"binary" if bare or long else b"8bit"), content
    if part.type.startswith("text/") and not bare and _mostly_ascii(content):
        return b"quoted-printable", _quoted_printable(content)
    return b"base64", base64.encodebytes(content).replace(b"\n", b"\r\n")


def _mostly_ascii(content: bytes) -> bool:
    """Is quoted-printable the shorter encoding?  It also keeps ASCII legible."""
    return len(content.translate(None, _ASCII)) * 6 < len(content)


def _quoted_printable(text: bytes) -> bytes:
    return b"\r\n".join(
        binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n") for line in text.split(b"\r\n")
    )

"""Encoded-words (RFC 2047): reading and writing."""

import binascii
import re
import unicodedata
from collections.abc import Iterator, Sequence

from mailhive.mime import charset, transfer

__all__ = ["clean", "decode_words", "encode_words"]

_SPACES = re.compile(r"([ \t]+)")
_WORD = re.compile(r"=\?([!-)+->@-~]+)(?:\*[^?\s]*)?\?([bBqQ])\?([!->@-~]*)\?=")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
#: Octets of content that fit in an encoded-word of 75 characters (RFC 2047 §2).
_ROOM = 75 - len("=?utf-8?q??=")
# What stands for itself in a phrase (RFC 2047 §5), the narrowest context.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_LENGTH = [1 if octet in _PLAIN or octet == 0x20 else 3 for octet in range(256)]


def clean(text: str) -> str:
    """`text` in Normalization Form C."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def decode_words(text: str) -> str:
    """`text`, which is unfolded, with its encoded-words decoded (RFC 8621 §4.1.2.2).

    Only what stands alone between white space or ends of the text is one, and
    only with a known charset (RFC 2047 §5).  White space between two of them is
    dropped (RFC 2047 §6.2), as are control characters that come out of them.  A
    character that was split over two encoded-words is put together.
    """
    if "=?" not in text:
        return text
    result: list[str] = []
    pending = b""  # octets of encoded-words not yet decoded
    label = ""  # and their charset
    gap = ""  # white space after an encoded-word

    for index, token in enumerate(_SPACES.split(text)):
        if index % 2:
            if label:
                gap = token
            else:
                result.append(token)
            continue
        word = _WORD.fullmatch(token)
        if word is not None and charset.is_known(word[1]):
            octets = _content(word[2], word[3])
            if label and word[1].lower() != label:
                result.append(_decode(pending, label))
                pending = b""
            pending += octets
            label = word[1].lower()
            gap = ""
        else:
            if label:
                result += (_decode(pending, label), gap)
                pending, label, gap = b"", "", ""
            result.append(token)
    if label:
        result += (_decode(pending, label), gap)
    return "".join(result)


def _content(encoding: str, content: str) -> bytes:
    octets = content.encode("ascii")
    if encoding in "bB":
        return transfer.decode(octets, "b")
    return binascii.a2b_qp(octets, header=True)


def _decode(octets: bytes, label: str) -> str:
    return _CONTROL.sub("", charset.decode(octets, label)[0])


def encode_words(text: str) -> Iterator[str]:
    """`text` as encoded-words of UTF-8, each within 75 characters, to be parted by white space."""
    octets = text.encode("utf-8")
    plain = sum(octet in _PLAIN for octet in octets)
    if plain * 2 < len(octets):  # base64 is shorter, or about as long
        for chunk in _chunks(text, [1] * 256, _ROOM // 4 * 3):
            yield f"=?utf-8?b?{binascii.b2a_base64(chunk, newline=False).decode('ascii')}?="
    else:
        for chunk in _chunks(text, _Q_LENGTH, _ROOM):
            content = "".join(
                chr(o) if o in _PLAIN else "_" if o == 0x20 else f"={o:02X}" for o in chunk
            )
            yield f"=?utf-8?q?{content}?="


def _chunks(text: str, lengths: Sequence[int], room: int) -> Iterator[bytes]:
    """Whole characters of `text` in UTF-8, as many at a time as there is room for.

    `lengths` has what each octet takes.
    """
    chunk = b""
    used = 0
    for character in text:
        octets = character.encode("utf-8")
        length = sum(lengths[octet] for octet in octets)
        if used + length > room:
            yield chunk
            chunk, used = b"", 0
        chunk += octets
        used += length
    if chunk:
        yield chunk

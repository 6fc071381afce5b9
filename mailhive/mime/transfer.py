"""Content transfer encodings (RFC 2045 §6) and the slices of `model.blobid`.

An encoding is one letter: `b` base64, `q` quoted-printable, `n` none.  Decoding
never fails.  base64 ends at its first padding; letters that are none of its
alphabet are passed over; what remains of an incomplete group counts as far as
it makes whole octets.  Quoted-printable keeps what it does not understand.
"""

import binascii
import re
from collections.abc import Iterable

from mailhive.errors import BlobNotFound
from mailhive.model.blobid import BlobSlice

__all__ = ["apply_slices", "decode", "decoded_size", "encoding_of", "is_malformed"]

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_ALPHABET = bytes(set(range(256)) - set(_ALPHABET))
_WHITE_SPACE = b" \t\r\n"
_CHUNK = 1 << 20
# Trailing white space was added in transport (RFC 2045 §6.7 rule 3).
_PADDING = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+(?:\r?\n|\Z))")
_LETTERS = {
    "": "n",
    "7bit": "n",
    "8bit": "n",
    "binary": "n",
    "base64": "b",
    "quoted-printable": "q",
}


def encoding_of(value: str | None) -> tuple[str, bool]:
    """The letter of a Content-Transfer-Encoding without comments, and whether it is known."""
    letter = _LETTERS.get((value or "").strip().lower())
    return (letter or "n", letter is not None)


def decode(data: bytes, encoding: str) -> bytes:
    """`data` with the transfer encoding undone."""
    if encoding == "b":
        end = data.find(b"=")
        digits = (data if end < 0 else data[:end]).translate(None, _NOT_ALPHABET)
        rest = len(digits) % 4
        if rest == 1:
            digits = digits[:-1]
        elif rest:
            digits += b"=" * (4 - rest)
        return binascii.a2b_base64(digits)
    if encoding == "q":
        return binascii.a2b_qp(_PADDING.sub(b"", data))
    return data


def decoded_size(data: bytes, start: int, end: int, encoding: str) -> int:
    """`len(decode(data[start:end], encoding))`, without decoding base64."""
    if encoding == "b":
        padding = data.find(b"=", start, end)
        if padding >= 0:
            end = padding
        digits = sum(
            len(data[at : min(at + _CHUNK, end)].translate(None, _NOT_ALPHABET))
            for at in range(start, end, _CHUNK)
        )
        return digits * 3 // 4
    if encoding == "q":
        return len(decode(data[start:end], encoding))
    return end - start


def is_malformed(data: bytes, encoding: str) -> bool:
    """Does `data` break the rules of its transfer encoding?"""
    if encoding == "b":
        squeezed = data.translate(None, _WHITE_SPACE)
        digits = squeezed.rstrip(b"=")
        padding = len(squeezed) - len(digits)
        return bool(digits.translate(None, _ALPHABET)) or padding != -len(digits) % 4
    if encoding == "q":
        return _BAD_ESCAPE.search(data) is not None
    return False


def apply_slices(data: bytes, slices: Iterable[BlobSlice]) -> bytes:
    """The octets that `slices` name, one taken of the result of the other.

    `BlobNotFound` when a slice reaches beyond what it is taken of.
    """
    for part in slices:
        end = part.start + part.length
        if end > len(data):
            raise BlobNotFound("the blob id names octets that are not there")
        data = decode(data[part.start : end], part.encoding)
    return data

"""Octets to text by charset label: aliases, wrong labels, and no label at all.

A label means what current software means by it: the label of an old standard
stands for the superset that is really sent (`gb2312` is GB 18030, `iso-8859-1`
is windows-1252, as the Encoding Standard has it).

What is read as something else than it says it is, RFC 8621 §9.1 asks to document:

- octets without a label, and those whose label is unknown or is us-ascii although
  some are not, are UTF-8 if they can be; else what the first of them look most like, which
  is not asked of what cannot be text;
- UTF-7, which hides ASCII text, is decoded in bodies only where that is allowed.

`Charsets` turns both on and off.
"""

import codecs
import re
from functools import lru_cache

from attrs import frozen
from charset_normalizer import from_bytes

__all__ = ["USUAL", "Charsets", "decode", "decode_undeclared", "is_binary", "is_known"]

_SUPERSETS = {
    "ansi_x3.4-1968": "ascii",
    "big5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "ks_c_5601-1987": "cp949",
    "latin1": "cp1252",
    "shift-jis": "cp932",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "x-gbk": "gb18030",
    "x-mac-roman": "mac_roman",
    "x-sjis": "cp932",
}
# Codecs of Python that are no charsets; some take quadratic time.
_NO_CHARSETS = {
    "idna",
    "mbcs",
    "oem",
    "punycode",
    "raw-unicode-escape",
    "undefined",
    "unicode-escape",
}
_UTF_7 = "utf-7"
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Octets looked at to guess an undeclared charset.
_SAMPLE = 4_096
# Without what texts are laid out with, and the escape of ISO 2022.
_CONTROLS = bytes(set(range(32)) - set(b"\b\t\n\v\f\r\x1b"))
_BYTE_ORDER_MARKS = (
    codecs.BOM_UTF16_BE,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF32_BE,
    codecs.BOM_UTF32_LE,
)


@frozen
class Charsets:
    """How far octets are taken for what they do not say they are (RFC 8621 §9.1).

    Without `guess`, what has no label, or none that is known, is US-ASCII.
    """

    guess: bool = True
    utf_7: bool = False


#: What is done unless it was turned off.
USUAL = Charsets()


@lru_cache(maxsize=256)
def _codec(label: str) -> str | None:
    name = label.strip().strip("\"'").lower()
    name = _SUPERSETS.get(name, name)
    if not name.isascii() or "\0" in name or len(name) > 64:
        return None
    try:
        info = codecs.lookup(name)
        b" ".decode(info.name, "replace")  # refuses what is no text encoding, such as zip
    except (LookupError, ValueError):
        return None
    return None if info.name in _NO_CHARSETS else info.name


def is_known(label: str) -> bool:
    """Is there a decoder for this label?"""
    return _codec(label) not in (None, _UTF_7)


def decode(data: bytes, label: str, charsets: Charsets = USUAL) -> tuple[str, bool]:
    """The text of `data`, and whether the label is unknown or does not fit it.

    What cannot be decoded becomes U+FFFD.
    """
    codec = _codec(label)
    if codec == _UTF_7 and not charsets.utf_7:
        codec = None
    if codec is None or (codec == "ascii" and not data.isascii()):
        return decode_undeclared(data, charsets)[0], True
    problem = False
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        problem = True
        text = data.decode(codec, "replace")
    if codec == _UTF_7 and _SURROGATE.search(text):
        return _SURROGATE.sub("\ufffd", text), True
    return text, problem


def decode_undeclared(data: bytes, charsets: Charsets = USUAL) -> tuple[str, bool]:
    """The text of octets that came without a charset, and whether that is uncertain."""
    if not charsets.guess:
        return data.decode("ascii", "replace"), not data.isascii()
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    guess = None if is_binary(data) else from_bytes(data[:_SAMPLE], steps=3).best()
    codec = _codec(guess.encoding) if guess is not None else None
    # A truncated or wrong guess: windows-1252 gives every octet some meaning.
    return data.decode(codec or "cp1252", "replace"), True


def is_binary(data: bytes) -> bool:
    """Are these octets, which came without a charset and are not UTF-8, no text in any?

    A picture or an archive has control characters all over; of text, only UTF-16 and UTF-32
    have octets like these, which begin with a byte order mark or, of Latin, are half NULs.
    """
    sample = data[:_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return (
        controls > len(sample) // 32
        and sample.count(0) < len(sample) // 8
        and not sample.startswith(_BYTE_ORDER_MARKS)
    )

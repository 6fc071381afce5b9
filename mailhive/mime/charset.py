"""Octets to text by charset label: aliases, wrong labels, and no label at all.

A label means what current software means by it: the label of an old standard
stands for the superset that is really sent (`gb2312` is GB 18030, `iso-8859-1`
is windows-1252, as the Encoding Standard has it).
"""

import codecs
import re
from functools import lru_cache

from charset_normalizer import from_bytes

__all__ = ["decode", "decode_undeclared", "is_known"]

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
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Octets looked at to guess an undeclared charset.
_SAMPLE = 4_096


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
    return _codec(label) is not None


def decode(data: bytes, label: str) -> tuple[str, bool]:
    """The text of `data`, and whether the label is unknown or does not fit it.

    What cannot be decoded becomes U+FFFD.
    """
    codec = _codec(label)
    if codec is None or (codec == "ascii" and not data.isascii()):
        return decode_undeclared(data)[0], True
    problem = False
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        problem = True
        text = data.decode(codec, "replace")
    if codec == "utf-7" and _SURROGATE.search(text):
        return _SURROGATE.sub("\ufffd", text), True
    return text, problem


def decode_undeclared(data: bytes) -> tuple[str, bool]:
    """The text of octets that came without a charset, and whether it was a guess."""
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        pass
    guess = from_bytes(data[:_SAMPLE], steps=3).best()
    codec = _codec(guess.encoding) if guess is not None else None
    # A truncated or wrong guess: windows-1252 gives every octet some meaning.
    return data.decode(codec or "cp1252", "replace"), True

"""xtext, in which ESMTP parameters carry any text (RFC 3461 §4, RFC 6533 §3)."""

import re

__all__ = ["ascii_utf8_xtext", "from_utf8_xtext", "from_xtext", "to_utf8_xtext", "to_xtext"]

_ENCODED = re.compile(r"\+([0-9A-F]{2})")
_UTF8_ENCODED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_OTHERS = re.compile(r"[^!-*,-<>-~]")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_UTF8_OTHERS = re.compile(r"[^!-*,-<>-\[\]-~]")


def to_xtext(text: str) -> str:
    """The xtext of ASCII."""
    return _OTHERS.sub(lambda match: f"+{ord(match[0]):02X}", text)


def from_xtext(text: str) -> str:
    """What an xtext stands for."""
    return _ENCODED.sub(lambda match: chr(int(match[1], 16)), text)


def to_utf8_xtext(address: str) -> str:
    """The `utf-8-addr-xtext` of an address, which is xtext as well."""
    return _UTF8_OTHERS.sub(_code_point, address)


def ascii_utf8_xtext(text: str) -> str:
    """The `utf-8-addr-xtext` of a `utf-8-addr-unitext`, whose characters stand for themselves."""
    return _NON_ASCII.sub(_code_point, text)


def from_utf8_xtext(text: str) -> str:
    """The address that `utf-8-addr-xtext` or `utf-8-addr-unitext` stands for (RFC 6533 §3)."""
    return _UTF8_ENCODED.sub(lambda match: _character(int(match[1], 16)), text)


def _code_point(match: re.Match[str]) -> str:
    return f"\\x{{{ord(match[0]):02X}}}"


def _character(number: int) -> str:
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"

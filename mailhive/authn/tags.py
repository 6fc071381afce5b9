"""Lists of tags and values, as `v=1; a=rsa-sha256` (RFC 6376 §3.2)."""

import re

__all__ = ["TagError", "parse_tags", "without_space"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_VALUE = re.compile(r"[\t\r\n -:<-~]*", re.ASCII)
_SPACE = " \t\r\n"


class TagError(ValueError):
    """It is no such list."""


def parse_tags(text: bytes) -> dict[str, str]:
    """Values by their tags, in their order; space inside of a value stays."""
    try:
        parts = text.decode("ascii").split(";")
    except UnicodeDecodeError:
        raise TagError("it is not ASCII") from None
    if not parts[-1].strip(_SPACE):
        parts.pop()  # RFC 6376 §3.2: there may be a last semicolon
    found: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(_SPACE)
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise TagError("it is no list of tags")
        if name in found:
            raise TagError(f"{name}= is there twice")
        found[name] = value.strip(_SPACE)
    return found


def without_space(value: str) -> str:
    """A value whose folding white space means nothing, as in base64."""
    return value.translate(dict.fromkeys(map(ord, _SPACE)))

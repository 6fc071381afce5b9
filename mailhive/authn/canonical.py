"""Header fields and bodies as signatures see them (RFC 6376 §3.4)."""

import re
from collections.abc import Iterable

from attrs import frozen

__all__ = ["Field", "canonical_body", "canonical_field", "select", "split_message"]

_FIELD = re.compile(rb"(?m)^([!-9;-~]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)")
_RUN = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_SPACE = b" \t\r\n"


@frozen
class Field:
    """A header field: its name in lower case, and the whole of it with its line end."""

    name: str
    raw: bytes

    @property
    def value(self) -> bytes:
        return self.raw.partition(b":")[2]


def split_message(message: bytes) -> tuple[list[Field], bytes]:
    """The fields of a message in their order, and its body."""
    if message.startswith(b"\r\n"):
        return [], message[2:]
    header, _, body = message.partition(b"\r\n\r\n")
    header += b"\r\n"
    found = _FIELD.finditer(header)  # lines that are none are left out
    return [Field(match[1].decode("ascii").lower(), match[0]) for match in found], body


def select(fields: Iterable[Field], names: Iterable[str]) -> list[Field]:
    """The fields that a list of names means: of those of one name, the last comes first."""
    # RFC 6376 §5.4.2
    of_name: dict[str, list[Field]] = {}
    for field in fields:
        of_name.setdefault(field.name, []).append(field)
    return [of_name[name].pop() for name in names if of_name.get(name)]


def canonical_field(raw: bytes, kind: str) -> bytes:
    """A whole field by `simple` or `relaxed` canonicalization."""
    if kind == "simple":
        return raw
    # RFC 6376 §3.4.2
    name, _, value = raw.partition(b":")
    value = _RUN.sub(b" ", _FOLD.sub(b"", value.rstrip(_SPACE))).strip(b" ")
    return name.rstrip(b" \t").lower() + b":" + value + b"\r\n"


def canonical_body(body: bytes, kind: str) -> bytes:
    """A body by `simple` or `relaxed` canonicalization."""
    if kind == "relaxed":
        # RFC 6376 §3.4.4
        body = _RUN.sub(b" ", body).replace(b" \r\n", b"\r\n").removesuffix(b" ")
    # RFC 6376 §3.4.3
    end = len(body)
    while end >= 2 and body[end - 2 : end] == b"\r\n":
        end -= 2
    if end == 0 and kind == "relaxed":
        return b""
    return body[:end] + b"\r\n"

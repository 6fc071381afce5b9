"""A message in the blob store, as `smtp.client` sends it."""

from collections.abc import AsyncIterator
from typing import Any

from attrs import frozen

from mailhive.mime.fields import Headers, parse_fields, unfold

__all__ = ["StoredContent"]

#: Octets of a message that are read at once.
_CHUNK = 262_144


@frozen
class StoredContent:
    """A `client.Content`: a blob, behind header fields of its own.

    `needs_no_tls` says that its header has `TLS-Required: No` (RFC 8689 §3).
    """

    blobs: Any
    blob_id: str
    before: bytes
    stored: int
    is_8bit: bool
    has_utf8_header: bool
    needs_no_tls: bool

    @property
    def size(self) -> int:
        return len(self.before) + self.stored

    @classmethod
    async def of(cls, blobs: Any, blob_id: str, fields: bytes) -> "StoredContent":
        """Reads it through, to know what it holds; `fields` are in ASCII."""
        size = await blobs.size(blob_id)
        is_8bit = has_utf8_header = needs_no_tls = False
        in_header = True
        before = b""
        for start in range(0, size, _CHUNK):
            octets = await blobs.read(blob_id, start, _CHUNK)
            if in_header:
                text = before + octets
                end = min((i for i in (text.find(b"\n\r\n"), text.find(b"\n\n")) if i >= 0),
                          default=-1)  # fmt: skip
                in_header = end < 0
                header = text if in_header else text[:end]
                has_utf8_header = has_utf8_header or not header.isascii()
                needs_no_tls = needs_no_tls or (not start and _needs_no_tls(header))
                before = octets[-3:]
            is_8bit = is_8bit or not octets.isascii()
            if is_8bit and not in_header:
                break
        return cls(blobs, blob_id, fields, size, is_8bit, has_utf8_header, needs_no_tls)

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.before:
            yield self.before
        for start in range(0, self.stored, _CHUNK):
            yield await self.blobs.read(self.blob_id, start, _CHUNK)


def _needs_no_tls(header: bytes) -> bool:
    """RFC 8689 §3: one such field at most, whose only value is No."""
    values = Headers(parse_fields(header)).all("tls-required")
    return [unfold(value).strip().lower() for value in values] == ["no"]

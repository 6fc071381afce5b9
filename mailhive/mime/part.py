"""One part of a message (RFC 8621 §4.1.4), as scanned and as stored."""

from collections.abc import Iterator

from msgspec import Struct

from mailhive.mime.fields import Fields
from mailhive.model.blobid import BlobSlice, join_blob_id

__all__ = ["Part"]


class Part(Struct, array_like=True):
    """A MIME entity, its header decoded, its body as a range of octets.

    Offsets count octets of the message: the header is `header_start` to
    `body_start`, the body `body_start` to `body_end`; the line break before a
    boundary belongs to the boundary.  A multipart ends with its closing boundary.

    `part_id` and the size are those of a leaf; a multipart has `sub_parts`
    instead, and its type alone begins with `multipart/`.  `encoding` is a letter
    of `model.blobid`; `unknown_encoding` says that the header named another.

    The store keeps parts as arrays in this order (`mime.structure`): a new field
    goes at the end, with a default.
    """

    type: str
    part_id: str | None
    header_start: int
    body_start: int
    body_end: int
    size: int  # octets once decoded
    encoding: str
    unknown_encoding: bool
    charset: str | None
    name: str | None
    disposition: str | None
    cid: str | None
    language: list[str] | None
    location: str | None
    fields: Fields
    sub_parts: list["Part"] | None = None

    @property
    def is_multipart(self) -> bool:
        return self.sub_parts is not None

    @property
    def is_text(self) -> bool:
        return self.type.startswith("text/")

    @property
    def slice(self) -> BlobSlice:
        """The body as a slice of the message."""
        return BlobSlice(self.body_start, self.body_end - self.body_start, self.encoding)

    def blob_id(self, message: str) -> str:
        """The id of the decoded body, where `message` is that of the message."""
        return join_blob_id(message, self.slice)

    def walk(self) -> Iterator["Part"]:
        """This part and all below it, depth first."""
        yield self
        for part in self.sub_parts or ():
            yield from part.walk()

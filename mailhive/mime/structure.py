"""The part tree as the store keeps it: compact JSON, without the fields of the root.

The header block of the message is kept beside it, so the root's header fields
would be there twice.  Offsets are relative to the message, so the tree answers
every EmailBodyPart, blob ids included, without the message itself.
"""

from msgspec.json import Decoder, Encoder

from mailhive.mime.fields import parse_fields
from mailhive.mime.part import Part

__all__ = ["load", "store"]

_encoder = Encoder()
_decoder = Decoder(Part)


def store(root: Part) -> bytes:
    """The stored form of a part tree."""
    fields, root.fields = root.fields, []
    try:
        return _encoder.encode(root)
    finally:
        root.fields = fields


def load(structure: bytes, headers: bytes) -> Part:
    """The part tree of a stored form and the header block of its message."""
    root = _decoder.decode(structure)
    root.fields = parse_fields(headers)
    return root

"""Blob ids on the wire: a stored blob, or a slice of one (RFC 8621 §4.1.4).

The blob of a body part is a range of octets of its message with the transfer
encoding undone: `BASE_START_LENGTH_ENCODING`.  As a part can itself hold a
message in an encoded form, slices nest: `BASE_0_900_b_120_80_q` is a range of
the decoded range.  Nothing is stored for a slice, and whoever may read the base
may read it.
"""

import re

from attrs import frozen

__all__ = ["BlobSlice", "join_blob_id", "split_blob_id"]

_PLAIN_END = re.compile(r"_(\d{1,15})_\d{1,15}_n\Z", re.ASCII)
_SLICE = re.compile(r"_(\d{1,15})_(\d{1,15})_([nbq])", re.ASCII)


@frozen
class BlobSlice:
    """`length` octets from `start`; encoding `n` none, `b` base64, `q` quoted-printable."""

    start: int
    length: int
    encoding: str


def split_blob_id(blob_id: str) -> tuple[str, tuple[BlobSlice, ...]]:
    """The stored blob and the slices to take of it, in order."""
    base, mark, rest = blob_id.partition("_")
    rest = mark + rest
    slices = []
    while rest:
        match = _SLICE.match(rest)
        if match is None:
            return blob_id, ()  # not one of ours: will not be found
        slices.append(BlobSlice(int(match[1]), int(match[2]), match[3]))
        rest = rest[match.end() :]
    return base, tuple(slices)


def join_blob_id(base: str, part: BlobSlice) -> str:
    """The id of a slice of `base`, which may itself be a slice.

    A slice of a slice that is not encoded is one of what that was taken of, so
    that the ids of messages in messages do not grow.
    """
    start = part.start
    if (plain := _PLAIN_END.search(base)) is not None:
        start += int(plain[1])
        base = base[: plain.start()]
    return f"{base}_{start}_{part.length}_{part.encoding}"

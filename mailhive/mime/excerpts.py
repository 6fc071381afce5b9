"""A message of which only some ranges are at hand."""

from collections.abc import Mapping

from attrs import frozen

__all__ = ["Excerpts"]


@frozen
class Excerpts:
    """Ranges of a message by their first octet, sliced as the whole message would be.

    A slice must begin where a range does and end within it.
    """

    ranges: Mapping[int, bytes]

    def __getitem__(self, wanted: slice) -> bytes:
        return self.ranges[wanted.start][: wanted.stop - wanted.start]

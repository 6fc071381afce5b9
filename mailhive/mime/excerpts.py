"""A message of which only some ranges are at hand."""

from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

__all__ = ["Excerpts", "read_excerpts"]

#: Octets between two ranges that are read along, as a read of its own costs more.
_GAP = 4_096


@frozen
class Excerpts:
    """Ranges of a message by their first octet, sliced as the whole message would be.

    A slice must begin where a range does and end within it.
    """

    ranges: Mapping[int, bytes]

    def __getitem__(self, wanted: slice) -> bytes:
        return self.ranges[wanted.start][: wanted.stop - wanted.start]


async def read_excerpts(
    read: Callable[[int, int], Awaitable[bytes]], ranges: Mapping[int, int]
) -> Excerpts:
    """The `ranges` of a message, first octet to length, from `read(start, length)`."""
    stretches: list[list[int]] = []  # start and end
    for start, length in sorted(ranges.items()):
        if stretches and start <= stretches[-1][1] + _GAP:
            stretches[-1][1] = max(stretches[-1][1], start + length)
        else:
            stretches.append([start, start + length])
    found = {}
    for first, end in stretches:
        octets = await read(first, end - first)
        for start, length in ranges.items():
            if first <= start <= end:
                found[start] = octets[start - first : start - first + length]
    return Excerpts(found)

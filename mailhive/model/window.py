"""The window on the results of a query (RFC 8620 §5.5)."""

from attrs import frozen

__all__ = ["Window"]


@frozen
class Window:
    """`position`, `anchor`, `anchorOffset` and `limit` as a query gives them."""

    position: int = 0
    anchor: str | None = None
    anchor_offset: int = 0
    limit: int | None = None

    def bounds(self, total: int, anchor_index: int | None = None) -> tuple[int, int]:
        """First index and the one after the last, in a list of `total` results.

        `anchor_index` is where the anchor was found; it is needed when there is
        one.  The first index is as the response's `position` reports it.
        """
        if self.anchor is not None:
            assert anchor_index is not None
            start = max(0, anchor_index + self.anchor_offset)
        elif self.position < 0:
            start = max(0, total + self.position)
        else:
            start = self.position
        stop = total if self.limit is None else min(total, start + self.limit)
        return start, max(start, stop)

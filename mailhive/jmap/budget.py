"""How much one request may make of what is stored and what it refers to.

The size of a request does not bound that of its answer: a call names five
hundred Emails in a line, and a message of many parts says each of them several
times.  What is put together therefore counts while it is, so that an answer that
cannot be had ends early, with requestTooLarge, and not in want of memory.
"""

from typing import Any

import msgspec
from attrs import define

from mailhive.jmap.errors import MethodError

__all__ = ["Budget"]


@define
class Budget:
    """Octets of JSON, roughly, that are left; `what` uses them up."""

    left: int
    what: str

    def spend(self, octets: int) -> None:
        """Count `octets`; `MethodError` requestTooLarge when they are too many."""
        self.left -= octets
        if self.left < 0:
            raise MethodError("requestTooLarge", f"{self.what} would be too much")

    def spend_on(self, value: Any) -> None:
        """Count a whole JSON value."""
        if type(value) is list:
            try:
                octets = len("".join(value))
            except TypeError:  # not all are strings
                pass
            else:  # ids above all, of which there may be hundreds
                self.spend(2 + octets + 4 * len(value))
                return
        pending = [value]
        while pending:
            item = pending.pop()
            if isinstance(item, str):
                self.spend(len(item) + 3)
            elif isinstance(item, dict):
                self.spend(2 + sum(map(len, item)) + 4 * len(item))
                pending += item.values()
            elif isinstance(item, list | tuple):
                self.spend(2 + len(item))
                pending += item
            elif isinstance(item, msgspec.Raw):
                self.spend(len(item))
            else:
                self.spend(4)

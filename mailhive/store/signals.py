"""How a function that reads tells the store that it needs another place to run.

These are no errors: they derive from BaseException so that nothing between the
reader and the store catches them.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["Behind", "Unbounded"]


class Unbounded(BaseException):
    """The reader was asked for more than may be done on the reactor thread."""


class Behind(BaseException):
    """An index has to catch up first: by `catch_up(writer)` until that is False."""

    def __init__(self, catch_up: Callable[[Any], bool]) -> None:
        super().__init__()
        self.catch_up = catch_up

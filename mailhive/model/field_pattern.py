"""Patterns of header fields, as the configuration writes them: `X-Spam-Flag: YES`."""

import re

from attrs import frozen

__all__ = ["FieldPattern"]

# RFC 5322 §3.6.8
_NAME = re.compile(r"[!-9;-~]{1,77}", re.ASCII)


@frozen
class FieldPattern:
    """`Name: value` in any case, where `*` in the value stands for anything.

    `pieces` are what is between the `*`, folded.
    """

    name: str
    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "FieldPattern":
        """Read one; ValueError says what is allowed."""
        name, mark, value = text.partition(":")
        pieces = tuple(piece.casefold() for piece in value.strip().split("*"))
        if not mark or not _NAME.fullmatch(name) or not value.strip():
            raise ValueError(
                f'"{text}" is no pattern of a header field; allowed is "Name: value", where * in '
                "the value stands for anything"
            )
        return cls(name.lower(), pieces)

    def matches(self, value: str) -> bool:
        """Does it fit the value of a field of its name, unfolded?  Linear in its length."""
        text = value.strip().casefold()
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return text == first
        end = len(text) - len(last)
        place = len(first)
        if place > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in self.pieces[1:-1]:
            found = text.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return True

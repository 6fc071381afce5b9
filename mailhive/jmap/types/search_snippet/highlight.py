"""Text with what was searched for marked in it (RFC 8621 §5).

Both functions take the folded phrases to mark (`model.fulltext.phrases`) and give
HTML: the text with `&`, `<` and `>` escaped and every phrase within `<mark>`.
"""

import html
from collections.abc import Collection, Iterator
from itertools import islice

from attrs import frozen

from mailhive.model.fulltext import fold, units

__all__ = ["MAX_EXCERPT", "excerpt", "highlight"]

#: Octets of an excerpt, markup included (RFC 8621 §5).
MAX_EXCERPT = 255

_OPEN, _CLOSE = "<mark>", "</mark>"
_ELLIPSIS = "…"
#: Octets that lead to the first phrase of an excerpt.
_LEAD = 60
#: Characters of text that an excerpt is expected to show.
_WINDOW = 150
#: Places that an excerpt may begin at.
_PLACES = 200


@frozen
class _Place:
    """A range of text that is to be marked, and the phrases that are there."""

    start: int
    end: int
    phrases: frozenset[str]


def highlight(text: str, wanted: Collection[str]) -> str | None:
    """All of the text; None if it has none of the phrases."""
    places = list(_places(text, wanted))
    if not places:
        return None
    done = 0
    pieces = []
    for place in places:
        pieces += [_escape(text[done : place.start]), _OPEN]
        pieces += [_escape(text[place.start : place.end]), _CLOSE]
        done = place.end
    return "".join(pieces) + _escape(text[done:])


def excerpt(text: str, wanted: Collection[str]) -> str | None:
    """Up to `MAX_EXCERPT` octets around the place that has most of the phrases.

    On one line; None if the text has none of them.
    """
    text = " ".join(text.split())
    places = list(islice(_places(text, wanted), 2 * _PLACES))
    if not places:
        return None
    first = _best(places[:_PLACES])
    begin = _lead(text, places[first].start)
    room = MAX_EXCERPT - len(_ELLIPSIS.encode())  # there may be one at the end
    pieces = []
    if begin:
        pieces.append(_ELLIPSIS)
        room -= len(_ELLIPSIS.encode())
    for piece, is_marked in _pieces(text, begin, places[first:]):
        room -= len(_OPEN + _CLOSE) if is_marked else 0
        shown = _cut(piece, room)
        if shown != piece and not is_marked:
            shown = _at_a_word(shown)
        # Half a phrase is shown only where there would be none else.
        if shown == piece or not is_marked or _OPEN not in pieces:
            pieces += [_OPEN, _escape(shown), _CLOSE] if is_marked else [_escape(shown)]
        if shown != piece:
            pieces.append(_ELLIPSIS)
            break
        room -= _octets(shown)
    return "".join(pieces)


def _places(text: str, wanted: Collection[str]) -> Iterator[_Place]:
    """Where the phrases are, in order, those that touch as one."""
    folded = f" {fold(text)} "
    by_first: dict[str, list[list[str]]] = {}
    for phrase in wanted:
        if f" {phrase} " in folded:  # most texts have none
            words = phrase.split()
            by_first.setdefault(words[0], []).append(words)
    if not by_first:
        return
    found = [(start, end, token) for start, end, tokens in units(text) for token in tokens]
    current: _Place | None = None
    for index, (start, _, token) in enumerate(found):
        for words in by_first.get(token, ()):
            stretch = found[index : index + len(words)]
            if [t for _, _, t in stretch] != words:
                continue
            place = _Place(start, stretch[-1][1], frozenset([" ".join(words)]))
            if current is None:
                current = place
            elif start <= current.end:
                end = max(current.end, place.end)
                current = _Place(current.start, end, current.phrases | place.phrases)
            else:
                yield current
                current = place
    assert current is not None
    yield current


def _best(places: list[_Place]) -> int:
    """The index of the first place from which most different phrases are in sight."""
    best, most = 0, 0
    for index, place in enumerate(places):
        seen: set[str] = set()
        for other in places[index:]:
            if other.start - place.start > _WINDOW:
                break
            seen |= other.phrases
        if len(seen) > most:
            best, most = index, len(seen)
    return best


def _lead(text: str, start: int) -> int:
    """Where an excerpt begins that is to show what is at `start`: with a word."""
    begin = start
    room = _LEAD
    while begin and (room := room - _octets(text[begin - 1])) >= 0:
        begin -= 1
    if not begin:
        return 0
    space = text.find(" ", begin - 1, start)
    if space >= 0:
        return space + 1
    # What is at `begin` may be the rest of a word, what comes next is not.
    return next((begin + at for at, _, _ in units(text[begin:start]) if at), start)


def _pieces(text: str, begin: int, places: list[_Place]) -> Iterator[tuple[str, bool]]:
    """The text from `begin`, by turns what is not marked and what is."""
    for place in places:
        yield text[begin : place.start], False
        yield text[place.start : place.end], True
        begin = place.end
    yield text[begin : begin + MAX_EXCERPT + 1], False  # that is more than will fit


def _cut(text: str, room: int) -> str:
    """As much of the beginning of `text` as takes `room` octets."""
    for index, char in enumerate(text):
        room -= _octets(char)
        if room < 0:
            return text[:index]
    return text


def _at_a_word(text: str) -> str:
    """Less what is behind the last space, unless that is most of it."""
    head, _, tail = text.rpartition(" ")
    return head if len(head) >= len(tail) else text


def _octets(text: str) -> int:
    return len(_escape(text).encode())


def _escape(text: str) -> str:
    return html.escape(text, quote=False)

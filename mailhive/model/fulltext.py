"""Words of a text: what one is, how texts are compared, what a search text asks for.

Text is folded before it is indexed and before it is looked for.  Case and
diacritics are dropped, compatibility forms (full width, ligatures) become the
plain ones.  A token is a run of letters, digits and the vowel signs between
them; everything else separates.  Scripts that write no space between words
(Han, kana, Hangul, Thai, Lao, Khmer, Myanmar) have a token per character, so
that a run of them is found anywhere.

A search text is divided by white space into words, all of which have to occur
in the field; `text` lets each occur in a field of its own (RFC 8621 §4.4.1).
What is within matching `"` or `'` is one phrase, in which a backslash escapes
these and itself.  A word of several tokens (`bob@example.org`, 東京) is a phrase
too.  Tokens match whole.  Words without a token are passed over; a text of
nothing but such words matches nothing.  The empty text matches everything.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["fold", "phrases", "separate", "units"]

_QUOTED = re.compile(r"""(?<!\S)(["'])((?:\\.|(?!\1)[^\\])*)\1(?!\S)""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(["'\\])""")
#: Letters of ASCII in lower case, digits, and a space for all else.
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}

#: Characters of the longest word that is remembered.
_MAX_KNOWN = 40

#: Ranges of the scripts that are split into characters.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul jamo
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # Han radicals
    (0x3005, 0x3007),
    (0x3021, 0x303C),
    (0x3040, 0x318F),  # Hiragana, Katakana, Bopomofo, Hangul compatibility jamo
    (0x31A0, 0x4DBF),
    (0x4E00, 0x9FFF),  # Han
    (0xA960, 0xA97F),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),  # Han
)


class _Strip(dict[int, int | None]):
    """Drops the combining marks that are diacritics, of decomposed text."""

    def __missing__(self, code: int) -> int | None:
        # Canonical combining classes 10 to 35 are Hebrew and Arabic points, 200 to
        # 240 what is set above and below Latin, Greek and Cyrillic letters.  The
        # others (kana voicing, nukta, virama, Thai vowels) make another letter.
        combining = unicodedata.combining(chr(code))
        kept = None if 10 <= combining <= 35 or 200 <= combining <= 240 else code
        self[code] = kept
        return kept


class _Split(dict[int, str]):
    """Puts spaces for separators, and around characters that stand alone."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if not (char.isalnum() or unicodedata.category(char)[0] == "M"):
            result = " "
        elif any(first <= code <= last for first, last in _UNSPACED):
            result = f" {char} "
        else:
            result = char
        self[code] = result
        return result


class _Classes(dict[int, str]):
    """A letter for what a character of a text that is not folded does in it.

    `w` is part of a word, `s` stands alone, `x` stands alone or becomes one with
    what stands before it, `d` is dropped, `-` separates.
    """

    def __missing__(self, code: int) -> str:
        kept = _stripped(chr(code))
        pieces = [_SPLIT[ord(char)] for char in kept]
        if not kept:
            found = "d"
        elif any(not piece.startswith(" ") for piece in pieces):
            found = "w"
        elif any(piece != " " for piece in pieces):
            found = "x" if _joins(kept[0]) else "s"
        else:
            found = "-"
        self[code] = found
        return found


def _stripped(text: str) -> str:
    """Decomposed, without case and diacritics."""
    text = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", text).translate(_STRIP)


def _joins(char: str) -> bool:
    """Is it a mark, or a Hangul vowel or final consonant?"""
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff"


_STRIP = _Strip()
_SPLIT = _Split()
_CLASSES = _Classes()
_UNIT = re.compile(r"[wd]+|s[xd]*|x[xd]*")


def fold(text: str) -> str:
    """The tokens of `text`, separated by single spaces."""
    return " ".join(separate(text).split())


def separate(text: str) -> str:
    """The tokens of `text`, separated by spaces."""
    if text.isascii():
        return text.translate(_ASCII)
    # White space parts tokens and composes with nothing, so each word goes by itself; and most
    # words are in one message after the other.
    words = [_known(word) if len(word) <= _MAX_KNOWN else _folded(word) for word in text.split()]
    return " ".join(filter(None, words))


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFC", _stripped(text))
    return " ".join(text.translate(_SPLIT).split())


_known = lru_cache(10_000)(_folded)


def _tokens(piece: str) -> tuple[str, ...]:
    return tuple(fold(piece).split())


def units(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Where in `text` its tokens are: start, end and tokens of each piece that has any.

    The tokens of all pieces together are those of `fold(text)`; as a rule a piece
    has one.
    """
    for match in _UNIT.finditer(text.translate(_CLASSES)):
        start, end = match.span()
        if tokens := _tokens(text[start:end]):
            yield start, end, tokens


def phrases(text: str) -> tuple[str, ...] | None:
    """What has to occur: folded phrases, each once.  None if nothing can match."""
    if not text.strip():
        return ()
    found: dict[str, None] = {}
    rest = 0
    for match in _QUOTED.finditer(text):
        found.update(dict.fromkeys(map(fold, text[rest : match.start()].split())))
        found[fold(_ESCAPE.sub(r"\1", match[2]))] = None
        rest = match.end()
    found.update(dict.fromkeys(map(fold, text[rest:].split())))
    found.pop("", None)
    return tuple(found) or None

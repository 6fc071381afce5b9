"""Address lists (RFC 5322 §3.4, RFC 6532), read as far as they make sense.

A list is cut into tokens from left to right, each octet once, so that time is
linear whatever the input.  Nothing is an error: an unclosed quote, comment or
angle bracket is an ordinary character, and words that are no address become the
`email` of one (RFC 8621 §4.1.2.3 asks for best effort).  After `MAX_ADDRESSES`
nothing more is read: a list of addresses of one letter would be as JSON thirteen
times as long.
"""

import re

from attrs import define, field

from mailhive.mime.encodedword import clean, decode_words
from mailhive.mime.fields import comment_end, strip_comments, unfold

__all__ = ["MAX_ADDRESSES", "Address", "Group", "parse_addresses"]

#: Addresses and groups of one field.
MAX_ADDRESSES = 5_000

_TOKEN = re.compile(
    r"(?P<space>[ \t]+)"
    r"|(?P<word>=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=)"  # may hold specials, though it must not
    r"|(?P<special>[\"(<>,;:@])"
    r"|(?P<literal>\[[^\[\]<>,;]*+\])"
    r"|(?P<atom>(?:\\.|[^ \t\"(<>,;:@\\\[])++|.)",
    re.DOTALL,
)
# One mailbox as most are: a name that is plain words or quoted, and an address.
_USUAL = re.compile(
    r"\s*+(?:([\w.'-]++(?: [\w.'-]++){0,9}|\"[\w.,'()@ -]++\")[ \t]++)?"
    r"<([\w.+-]++@[\w.-]++)>\s*+"
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ANGLE = re.compile(r'<((?:"(?:[^"\\]|\\.)*+"|[^<>"])*+)>', re.DOTALL)
_OPEN_ANGLE = re.compile(r"<([^<>,;]*+)>?")
_ANGLE_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"|[ \t]++|[^" \t]++|"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ROUTE = re.compile(r"@[^:\"]*+:")


@define
class Address:
    """One mailbox: the EmailAddress of RFC 8621 §4.1.2.3."""

    name: str | None
    email: str

    def json(self) -> dict[str, str | None]:
        return {"name": self.name, "email": self.email}


@define
class Group:
    """Mailboxes under the name of a group, or under None: RFC 8621 §4.1.2.4."""

    name: str | None
    addresses: list[Address] = field(factory=list)

    def json(self) -> dict[str, object]:
        return {"name": self.name, "addresses": [a.json() for a in self.addresses]}


@define
class _Word:
    text: str  # as written, or less its quotes
    kind: str  # atom, word (encoded), quoted, literal, at
    spaced: bool  # white space before it


def parse_addresses(value: str) -> list[Group]:
    """The groups of an address list in Raw form; lone mailboxes are in groups named None."""
    value = unfold(value)
    if usual := _USUAL.fullmatch(value):
        name = clean((usual[1] or "").strip('"').strip())
        return [Group(None, [Address(name or None, clean(usual[2]))])]
    return _Parser(value).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.groups: list[Group] = []
        self.found = 0  # addresses and named groups
        self.group: Group | None = None  # the named one that is open
        self.quotes = '"' in text
        self.comments = "(" in text
        self._clear()

    def _clear(self) -> None:
        self.words: list[_Word] = []
        self.comment: str | None = None
        self.angle: str | None = None
        self.spaced = False

    def parse(self) -> list[Group]:
        text = self.text
        while self.position < len(text) and self.found < MAX_ADDRESSES:
            match = _TOKEN.match(text, self.position)
            assert match is not None  # its last branch takes any character
            self.position = match.end()
            kind = match.lastgroup
            if kind == "space":
                self.spaced = True
            elif kind == "special":
                self._special(match[0], match.start())
            else:
                self._word(match[0], kind or "atom")
        self._mailbox()
        return self.groups

    def _word(self, text: str, kind: str) -> None:
        self.words.append(_Word(text, kind, self.spaced))
        self.spaced = False

    def _special(self, mark: str, start: int) -> None:
        if mark == '"':
            quoted = _QUOTED.match(self.text, start) if self.quotes else None
            if quoted is None:
                self.quotes = False  # nor will a later one be closed
                self._word(mark, "atom")
            else:
                self.position = quoted.end()
                self._word(quoted[1], "quoted")
        elif mark == "(":
            end = comment_end(self.text, start) if self.comments else 0
            if not end:
                self.comments = False
                self._word(mark, "atom")
            else:
                self.position = end
                self.comment = self.text[start + 1 : end - 1]
                self.spaced = True
        elif mark == "<":
            # `<a@b` that is never closed ends where the next mailbox may begin.
            angle = _ANGLE.match(self.text, start) or _OPEN_ANGLE.match(self.text, start)
            assert angle is not None
            self.position = angle.end()
            self.angle = angle[1]
            self.comment = None
        elif mark == ",":
            self._mailbox()
        elif mark == ";":
            self._mailbox()
            self.group = None
        elif mark == ":" and self.words and self.group is None and self.angle is None:
            self.group = Group(_phrase(self.words) or None)
            self.groups.append(self.group)
            self.found += 1
            self._clear()
        elif mark == "@":
            self._word(mark, "at")
        elif mark == ":":
            self._word(mark, "atom")

    def _mailbox(self) -> None:
        """What was read since the last separator is one mailbox, or nothing."""
        words, angle, comment = self.words, self.angle, self.comment
        self._clear()
        if angle is not None:
            name, email = _phrase(words), _addr_spec(angle)
        elif words:
            name, email = _split_bare(words)
        else:
            return
        if not name and comment is not None:
            name = _comment_text(comment)
        if not name and not email:
            return
        groups = self.groups
        if self.group is None and (not groups or groups[-1].name is not None):
            groups.append(Group(None))
        self.found += 1
        groups[-1].addresses.append(Address(name or None, email))


def _phrase(words: list[_Word]) -> str:
    """A display-name; encoded-words in quoted strings stay as they are (RFC 2047 §5)."""
    pieces: list[str] = []
    run: list[str] = []
    for word in words:
        if word.kind == "quoted":
            pieces.append(decode_words("".join(run)))
            run = []
            text = _unquote(word.text)
            pieces.append(" " + text if word.spaced else text)
        else:
            run.append(" " + word.text if word.spaced else word.text)
    pieces.append(decode_words("".join(run)))
    return clean("".join(pieces).strip())


def _unquote(text: str) -> str:
    return _PAIR.sub(r"\1", text).strip() if "\\" in text else text.strip()


def _comment_text(comment: str) -> str:
    return clean(decode_words(_unquote(comment)))


def _addr_spec(angle: str) -> str:
    """The inside of angle brackets less comments, white space and route (RFC 5322 §4.4)."""
    angle = strip_comments(angle)
    if " " in angle or "\t" in angle:
        angle = "".join(p for p in _ANGLE_PIECE.findall(angle) if not p.isspace())
    if route := _ROUTE.match(angle):
        angle = angle[route.end() :]
    return clean(angle)


def _split_bare(words: list[_Word]) -> tuple[str, str]:
    """Name and address of words that no angle brackets came with.

    White space around `@` and dots is obsolete syntax of the address; any other
    parts a name from it (`Joe Bloggs joe@example.com`, which is in no standard).
    """
    at = next((i for i, word in enumerate(words) if word.kind == "at"), None)
    if at is None:
        if len(words) == 1 and words[0].kind == "quoted":
            return "", clean(_unquote(words[0].text))
        return "", clean(_as_written(words, keep_space=True))
    first = max(at - 1, 0)
    while first and _joined(words[first - 1], words[first]):
        first -= 1
    return _phrase(words[:first]), clean(_as_written(words[first:], keep_space=False))


def _joined(left: _Word, right: _Word) -> bool:
    return not right.spaced or left.text.endswith(".") or right.text.startswith(".")


def _as_written(words: list[_Word], keep_space: bool) -> str:
    text = "".join(
        (" " if keep_space and word.spaced else "")
        + (f'"{word.text}"' if word.kind == "quoted" else word.text)
        for word in words
    )
    return text.strip()

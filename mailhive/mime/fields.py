"""Header fields of a block of octets (RFC 5322 §2.2, RFC 8621 §4.1.2.1)."""

import re

__all__ = [
    "Fields",
    "Headers",
    "comment_end",
    "parse_fields",
    "split_angles",
    "strip_comments",
    "unfold",
]

#: Header fields in order: the name as written and the value in Raw form.
Fields = list[tuple[str, str]]

_FIELD = re.compile(r"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_PAREN = re.compile(r"\\.|[()]", re.DOTALL)
_MARK = re.compile(r'[(<"]')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parse_fields(block: bytes) -> Fields:
    """The fields of a header block; lines that are no field are passed over.

    Values are in Raw form (RFC 8621 §4.1.2.1): everything after the colon, folds
    included, less the line end.  Octets that are not UTF-8 become U+FFFD, NULs
    are dropped.  Lines end in CRLF or LF, or in CR where there is no LF at all.
    """
    text = block.decode("utf-8", "replace")
    if "\0" in text:
        text = text.replace("\0", "")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return [(name, value.removesuffix("\r")) for name, value in _FIELD.findall(text)]


class Headers:
    """The header fields of one message or part, found by name."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self._by_name: dict[str, list[str]] = {}
        for name, value in fields:
            self._by_name.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        """The Raw values of every field of this lower-case name, in order."""
        return self._by_name.get(name, [])

    def first(self, name: str) -> str | None:
        """The Raw value of the first field of this lower-case name."""
        values = self._by_name.get(name)
        return values[0] if values else None

    def last(self, name: str) -> str | None:
        """The Raw value of the last field of this lower-case name."""
        values = self._by_name.get(name)
        return values[-1] if values else None


def unfold(value: str) -> str:
    """Undo folding (RFC 5322 §2.2.3); line ends that fold nothing go as well."""
    if "\n" in value:
        value = value.replace("\n", "")
    return value.replace("\r", "") if "\r" in value else value


def comment_end(text: str, start: int) -> int:
    """Where the comment (RFC 5322 §3.2.2) that opens at `start` is over; 0 if it never is."""
    depth = 0
    for match in _PAREN.finditer(text, start):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if not depth:
                return match.end()
    return 0


def split_angles(value: str) -> tuple[list[str], list[str]]:
    """What `value` says around its angle brackets, and what it says within them.

    The first list has the text before each bracket and that after the last;
    comments in it became spaces.  Nothing is looked for in a quoted string, and
    what is opened and never closed is ordinary text.
    """
    around: list[str] = []
    within: list[str] = []
    text = ""  # since the last bracket, comments replaced
    position = last = 0
    dead = ""  # marks that are not closed any more
    while match := _MARK.search(value, position):
        start, mark = match.start(), match[0]
        position = match.end()
        if mark in dead:
            continue
        if mark == "(":
            end = comment_end(value, start)
        elif mark == "<":
            end = value.find(">", start) + 1
        else:
            quoted = _QUOTED.match(value, start)
            end = quoted.end() if quoted else 0
        if not end:
            dead += mark
            continue
        position = end
        if mark == "(":
            text += value[last:start] + " "
            last = end
        elif mark == "<":
            around.append(text + value[last:start])
            within.append(value[start + 1 : end - 1])
            text = ""
            last = end
    around.append(text + value[last:])
    return around, within


def strip_comments(value: str) -> str:
    """`value`, of a field without angle brackets, with each comment replaced by a space."""
    return "".join(split_angles(value)[0]) if "(" in value else value

"""The line of every key of a TOML document, which tomllib does not tell.

Only documents that tomllib accepted are scanned, so this reads structure and
skips values: it need not tell a valid document from an invalid one.
"""

import re

from mailhive.config.problems import KeyPath

__all__ = ["locate"]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r'[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|\'([^\'\n]*)\')[ \t]*')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def locate(text: str) -> dict[KeyPath, int]:
    """Where each key and list element of a valid document stands first.

    Lines count from 1.  A table that only its subtables mention stands where the
    first of them does.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.elements: dict[KeyPath, int] = {}  # index of the latest [[table]] of an array

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                table = self._header("[[", "]]")
            elif self.text[self.at] == "[":
                table = self._header("[", "]")
            else:
                self._pair(table)
        return self.lines

    def _header(self, opening: str, closing: str) -> KeyPath:
        start = self.at
        self.at += len(opening)
        path: KeyPath = ()
        keys = self._keys()
        for depth, key in enumerate(keys, 1):
            path += (key,)
            self._note(path, start)
            if closing == "]]" and depth == len(keys):
                self.elements[path] = self.elements.get(path, -1) + 1
            if path in self.elements:  # what follows belongs to the latest element
                path += (self.elements[path],)
                self._note(path, start)
        self.at += len(closing)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        start = self.at
        for key in self._keys():
            path += (key,)
            self._note(path, start)
        self.at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        match self.text[self.at]:
            case '"' | "'":
                self.at = _match(_STRING, self.text, self.at).end()
            case "[":
                self.at += 1
                index = 0
                while self._skip_blank() and self.text[self.at] != "]":
                    self._note((*path, index), self.at)
                    self._value((*path, index))
                    self._skip_comma()
                    index += 1
                self.at += 1
            case "{":
                self.at += 1
                while self._skip_blank() and self.text[self.at] != "}":
                    self._pair(path)
                    self._skip_comma()
                self.at += 1
            case _:
                self.at = _match(_SCALAR, self.text, self.at).end()

    def _keys(self) -> list[str]:
        keys = []
        while True:
            match = _match(_KEY, self.text, self.at)
            self.at = match.end()
            bare, quoted, literal = match.groups()
            keys.append(bare or (_unescape(quoted[1:-1]) if quoted else literal))
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _skip_blank(self) -> bool:
        self.at = _match(_BLANK, self.text, self.at).end()
        return self.at < len(self.text)

    def _skip_comma(self) -> None:
        self._skip_blank()
        if self.text[self.at] == ",":
            self.at += 1

    def _note(self, path: KeyPath, offset: int) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, offset) + 1)


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    assert match is not None, "the document was parsed before"
    return match


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        return chr(int(code, 16)) if code else _ESCAPES.get(match[4], match[4])

    return _ESCAPE.sub(replace, text)

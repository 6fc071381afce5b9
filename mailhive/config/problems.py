"""What is wrong with a configuration file, and where."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from mailhive.errors import MailhiveError

__all__ = ["ConfigError", "Found", "KeyPath", "Problem", "dotted"]

#: Keys and list indexes, from the top of the file.
KeyPath = tuple[str | int, ...]
#: Where something is wrong, and "what is wrong; what is allowed".
Found = Iterator[tuple[KeyPath, str]]

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def dotted(path: KeyPath) -> str:
    """A path as TOML writes it: `dotted(("blob", "my files", 0)) == 'blob."my files"[0]'`."""
    parts = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            quoted = part if _BARE.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
            parts.append(f".{quoted}" if parts else quoted)
    return "".join(parts)


@frozen
class Problem:
    """One mistake; `line` is 0 when the file as a whole is meant."""

    file: Path
    line: int
    path: KeyPath
    message: str  # what is wrong; what is allowed

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return ": ".join(filter(None, (where, dotted(self.path), self.message)))


class ConfigError(MailhiveError):
    """The configuration cannot be used.  `problems` is every mistake found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, dotted(p.path))))
        super().__init__("\n".join(str(problem) for problem in self.problems))

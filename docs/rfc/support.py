"""Make support.md out of index.toml: `python docs/rfc/support.py [FILE]`."""

import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TITLES = {
    "8620": "The JSON Meta Application Protocol (JMAP)",
    "8621": "The JSON Meta Application Protocol (JMAP) for Mail",
}
HEAD = """\
# Support of RFC 8620 and RFC 8621

Made from [index.toml](index.toml) by `make docs`; that file names the code and the
tests that hold each requirement. Sections that ask nothing of a server are left out.
"""


def load() -> dict[str, dict[str, Any]]:
    """The index: RFC number to section number to section."""
    return tomllib.loads((HERE / "index.toml").read_text(encoding="utf-8"))


def table(index: dict[str, dict[str, Any]]) -> str:
    """The text of support.md."""
    lines = [HEAD]
    for rfc, sections in index.items():
        lines += [f"## RFC {rfc}: {TITLES[rfc]}", "", _summary(sections), ""]
        lines += ["| § | section | status | held | left |", "|---|---|---|---|---|"]
        for number, section in sections.items():
            if section["status"] not in ("informative", "client"):
                lines.append(_row(number, section))
        lines.append("")
    return "\n".join(lines)


def _summary(sections: dict[str, Any]) -> str:
    held = sum(len(s.get("held", ())) for s in sections.values())
    whose = Counter(entry[2] for s in sections.values() for entry in s.get("left", ()))
    return (
        f"{held} requirements are held. {whose['not done']} are not done, {whose['next']} come "
        f"with a later version, {whose['client']} ask something of clients or of those who run "
        f"the server, {whose['n/a']} cannot arise here."
    )


def _row(number: str, section: dict[str, Any]) -> str:
    open_ones = [e for e in section.get("left", ()) if e[2] in ("not done", "next", "n/a")]
    left = "; ".join(f"{level} {text} ({why})" for level, text, _, why in open_ones)
    held = len(section.get("held", ()))
    return f"| {number} | {section['title']} | {section['status']} | {held} | {left} |"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "support.md"
    target.write_text(table(load()), encoding="utf-8")

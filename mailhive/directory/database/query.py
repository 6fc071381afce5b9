"""Queries that the configuration gives, and their placeholders.

A placeholder is written `:name`, whatever the database.  `::` is PostgreSQL's cast;
what stands in quotes or comments is none.
"""

import re
from collections.abc import Iterator

__all__ = ["placeholders", "pyformat"]

# Up to the end of a string, MySQL reads a backslash as an escape; others do not.
_STRING = r"'(?:[^'{0}]|''{1})*'"
_REST = (
    r'|"(?:[^"]|"")*"'
    r"|`[^`]*`"
    r"|--[^\n]*|\#[^\n]*"
    r"|/\*.*?\*/"
    r"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
    r"|::"
    r"|:(?P<name>[A-Za-z]\w*)"
)
_STANDARD = re.compile(_STRING.format("", "") + _REST.replace(r"|\#[^\n]*", ""), re.DOTALL)
_MYSQL = re.compile(_STRING.format(r"\\", r"|\\.") + _REST, re.DOTALL)


def placeholders(sql: str, *, mysql: bool = False) -> Iterator[str]:
    """The names of the placeholders of a query, in order."""
    for token in (_MYSQL if mysql else _STANDARD).finditer(sql):
        if token["name"]:
            yield token["name"]


def pyformat(sql: str, *, mysql: bool = False) -> str:
    """The query with `%(name)s` for `:name` (PEP 249)."""
    parts, end = [], 0
    for token in (_MYSQL if mysql else _STANDARD).finditer(sql):
        if token["name"]:
            parts += [sql[end : token.start()].replace("%", "%%"), f"%({token['name']})s"]
            end = token.end()
    return "".join([*parts, sql[end:].replace("%", "%%")])

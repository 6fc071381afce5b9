"""FilterConditions of Email/query as SQL expressions (RFC 8621 §4.4.1).

An expression speaks of one row `m` of the table `mbx` (mailbox, received_at,
email, thread, flags).  Conditions that must all hold are put in the order of
their cost.
"""

import email.errors
import email.header
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen

from mailhive.errors import UnsupportedFilter
from mailhive.model.email import FilterCondition, FilterOperator
from mailhive.model.fulltext import phrases
from mailhive.store.flags import ATTACHMENT, KEYWORD_FLAGS
from mailhive.store.ids import mailbox_number
from mailhive.store.search import FIELDS, match_expression

__all__ = [
    "Expression",
    "all_in_thread",
    "compile_filter",
    "conjuncts",
    "has_header",
    "has_keyword",
    "in_thread",
    "uses_text",
]

_Filter = FilterOperator | FilterCondition

#: Bounds on what one filter may ask for, well within those of SQLite's parser.
_MAX_CONDITIONS = 1000
_MAX_DEPTH = 64
_MAX_PHRASES = 256


@frozen
class Expression:
    """A Boolean SQL expression, what fills its `?`, and how dear it is."""

    sql: str
    parameters: tuple[Any, ...] = ()
    cost: int = 0


_TRUE = Expression("1 = 1")
_FALSE = Expression("1 = 0")


def conjuncts(filter: _Filter | None) -> list[tuple[str, Any]] | None:
    """The properties that must all hold, or None if the filter is not that simple."""
    if filter is None:
        return []
    if isinstance(filter, FilterCondition):
        return list(filter.properties)
    if filter.operator != "AND":
        return None
    parts = [conjuncts(part) for part in filter.conditions]
    if any(part is None for part in parts):
        return None
    return [pair for part in parts for pair in part or ()]


def uses_text(filter: _Filter | None) -> bool:
    """Is the full-text index asked?"""
    if isinstance(filter, FilterOperator):
        return any(map(uses_text, filter.conditions))
    return filter is not None and any(name in FIELDS for name, _ in filter.properties)


def compile_filter(filter: _Filter | None, mailboxes: Iterable[int]) -> Expression:
    """The expression of a filter in an account that has these mailboxes."""
    if filter is None:
        return _TRUE
    return _Compiler(mailboxes).compile(filter, 0)


def has_keyword(keyword: str, row: str = "m") -> Expression:
    """Does the Email of a row of `mbx` have a keyword?"""
    keyword = keyword.lower()
    if flag := KEYWORD_FLAGS.get(keyword):
        return Expression(f"({row}.flags & {flag}) <> 0")
    return Expression(
        "EXISTS (SELECT 1 FROM keyword k WHERE k.keyword = ?"
        f" AND k.received_at = {row}.received_at AND k.email = {row}.email)",
        (keyword,),
        1,
    )


def in_thread(keyword: str) -> Expression:
    """Does any Email of the thread have a keyword?"""
    keyword = keyword.lower()
    if keyword == "$seen":  # the one keyword that is not in the table
        seen = has_keyword(keyword, "t")
        source = f"mbx t WHERE t.mailbox = 0 AND {seen.sql}"
        return Expression(f"m.thread IN (SELECT t.thread FROM {source})", cost=3)
    return Expression("m.thread IN (SELECT thread FROM keyword WHERE keyword = ?)", (keyword,), 3)


def all_in_thread(keyword: str) -> Expression:
    """Have all Emails of the thread a keyword?"""
    has = has_keyword(keyword, "t")
    source = f"mbx t WHERE t.mailbox = 0 AND NOT {has.sql}"
    return Expression(f"m.thread NOT IN (SELECT t.thread FROM {source})", has.parameters, 3)


class _Compiler:
    def __init__(self, mailboxes: Iterable[int]) -> None:
        self._mailboxes = frozenset(mailboxes)
        self._conditions = 0
        self._phrases = 0

    def compile(self, filter: _Filter, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise UnsupportedFilter("The filter is nested too deeply")
        if isinstance(filter, FilterCondition):
            return _all(self._property(name, value) for name, value in filter.properties)
        parts = [self.compile(part, depth + 1) for part in filter.conditions]
        if filter.operator == "AND":
            return _all(parts)
        some = _join("OR", parts) if parts else _FALSE
        return _not(some) if filter.operator == "NOT" else some

    def _property(self, name: str, value: Any) -> Expression:
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise UnsupportedFilter("The filter has too many conditions")
        if name in FIELDS:
            return self._text(name, value)
        return _PROPERTIES[name](self, value)

    def _text(self, field: str, text: str) -> Expression:
        wanted = phrases(text)
        if wanted is None:
            return _FALSE
        if not wanted:
            return _TRUE
        self._phrases += len(wanted)
        if self._phrases > _MAX_PHRASES:
            raise UnsupportedFilter("There are too many words to look for")
        sql = "m.email IN (SELECT rowid FROM fts WHERE fts MATCH ?)"
        return Expression(sql, (match_expression(field, wanted),), 3)

    def _in_mailbox(self, wire: str) -> Expression:
        number = mailbox_number(wire)
        if number is None or number not in self._mailboxes:
            return _FALSE
        return Expression(
            "EXISTS (SELECT 1 FROM mbx b WHERE b.mailbox = ?"
            " AND b.received_at = m.received_at AND b.email = m.email)",
            (number,),
            1,
        )

    def _in_mailbox_other_than(self, wires: Sequence[str]) -> Expression:
        others = sorted(self._mailboxes - {mailbox_number(wire) for wire in wires})
        if not others:
            return _FALSE
        numbers = ", ".join(map(str, others))
        return Expression(
            f"m.email IN (SELECT email FROM mbx WHERE mailbox IN ({numbers}))", cost=3
        )

    def _header(self, value: Sequence[str]) -> Expression:
        name, text = value if len(value) == 2 else (value[0], "")
        sql = "has_header((SELECT headers FROM email_full f WHERE f.id = m.email), ?, ?)"
        return Expression(sql, (name.lower(), text.casefold()), 4)


def _compare(column: str, operator: str) -> Callable[[_Compiler, int], Expression]:
    return lambda _, value: Expression(f"{column} {operator} ?", (value,), "SELECT" in column)


_SIZE = "(SELECT s.size FROM email_sort s WHERE s.id = m.email)"

_PROPERTIES: dict[str, Callable[[_Compiler, Any], Expression]] = {
    "inMailbox": _Compiler._in_mailbox,
    "inMailboxOtherThan": _Compiler._in_mailbox_other_than,
    "before": _compare("m.received_at", "<"),
    "after": _compare("m.received_at", ">="),
    "minSize": _compare(_SIZE, ">="),
    "maxSize": _compare(_SIZE, "<"),
    "allInThreadHaveKeyword": lambda _, keyword: all_in_thread(keyword),
    "someInThreadHaveKeyword": lambda _, keyword: in_thread(keyword),
    "noneInThreadHaveKeyword": lambda _, keyword: _not(in_thread(keyword)),
    "hasKeyword": lambda _, keyword: has_keyword(keyword),
    "notKeyword": lambda _, keyword: _not(has_keyword(keyword)),
    "hasAttachment": lambda _, value: Expression(
        f"(m.flags & {ATTACHMENT}) {'<>' if value else '='} 0"
    ),
    "header": _Compiler._header,
}


def _not(part: Expression) -> Expression:
    return Expression(f"NOT {part.sql}", part.parameters, part.cost)


def _all(parts: Iterable[Expression]) -> Expression:
    parts = sorted(parts, key=lambda part: part.cost)
    return _join("AND", parts) if parts else _TRUE


def _join(operator: str, parts: Sequence[Expression]) -> Expression:
    """One expression of several, as a balanced tree: SQLite bounds the depth."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = _join(operator, parts[:half]), _join(operator, parts[half:])
    return Expression(
        f"({left.sql} {operator} {right.sql})",
        left.parameters + right.parameters,
        max(left.cost, right.cost),
    )


def has_header(headers: bytes | None, name: str, text: str) -> bool:
    """Is there a field `name` (lower case) whose value contains `text` (case-folded)?

    `headers` is a compressed header block, of which the encoded words of RFC 2047
    are looked at both as they stand and decoded.
    """
    if headers is None:
        return False
    return any(
        text in value.casefold() or ("=?" in value and text in _decode(value).casefold())
        for value in _fields(headers).get(name, ())
    )


@lru_cache(8)  # a filter with several of these asks for the same message again at once
def _fields(headers: bytes) -> Mapping[str, Sequence[str]]:
    """The unfolded values of the fields of a compressed header block, by name in lower case."""
    fields: dict[str, list[str]] = {}
    for field in _FIELD.finditer(zlib.decompress(headers).decode("utf-8", "replace")):
        fields.setdefault(field[1].lower(), []).append(_FOLDING.sub("", field[2]).strip())
    return fields


_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:((?:.|\r?\n[ \t])*)", re.MULTILINE)
#: Characters of a field that are looked at decoded: the decoder's time grows faster than they do.
_MAX_DECODED = 32_768
_FOLDING = re.compile(r"\r?\n(?=[ \t])")


def _decode(value: str) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(value[:_MAX_DECODED])))
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return value

"""The full-text index of an account: its columns, and how it is asked (RFC 8621 §4.4.1)."""

from collections.abc import Mapping

__all__ = ["FIELDS", "match_expression"]

#: Property of a FilterCondition to the column it looks in; None for any.
FIELDS: Mapping[str, str | None] = {
    "text": None,
    "from": "sender",
    "to": "receiver",
    "cc": "cc",
    "bcc": "bcc",
    "subject": "subject",
    "body": "body",
}


def match_expression(field: str, wanted: tuple[str, ...]) -> str:
    """The FTS5 query for all phrases in a field of `FIELDS`.

    Tokens hold no ASCII but letters and digits, so that quotes suffice.
    """
    expression = " AND ".join(f'"{phrase}"' for phrase in wanted)
    column = FIELDS[field]
    return expression if column is None else f"{column} : ({expression})"

"""Email objects from the rows of the store (RFC 8621 §4.2)."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen

from mailhive.jmap.types.email.properties import METADATA, SUMMARY, read_summary
from mailhive.mime.charset import USUAL, Charsets
from mailhive.mime.part import Part
from mailhive.mime.view import EmailView
from mailhive.model.email import EmailRow

__all__ = [
    "BodyOptions",
    "Wanted",
    "email_object",
    "message_object",
    "value_parts",
    "view_of",
    "weight",
]

_BODY = frozenset({"bodyStructure", "textBody", "htmlBody", "attachments"})


@frozen
class Wanted:
    """The properties of Emails that are asked for, sorted once for all by where they are found."""

    metadata: tuple[tuple[str, Callable[[EmailRow], Any]], ...]
    summary: tuple[tuple[str, str], ...]  # with their attributes of `read_summary`
    message: tuple[str, ...]

    @classmethod
    @lru_cache(256)
    def of(cls, properties: tuple[str, ...]) -> "Wanted":
        found: Wanted = cls(
            tuple((name, METADATA[name]) for name in properties if name in METADATA),
            tuple((name, SUMMARY[name]) for name in properties if name in SUMMARY),
            tuple(n for n in properties if n not in METADATA and n not in SUMMARY),
        )
        return found

    @property
    def needs_structure(self) -> bool:
        """Is any of them not in the list view of an Email?"""
        return bool(self.message)


@frozen
class BodyOptions:
    """The arguments of Email/get and Email/parse about bodies."""

    properties: tuple[str, ...]
    fetch_text: bool = False
    fetch_html: bool = False
    fetch_all: bool = False
    max_octets: int = 0

    @property
    def fetches_values(self) -> bool:
        return self.fetch_text or self.fetch_html or self.fetch_all


def view_of(row: EmailRow, charsets: Charsets = USUAL) -> EmailView:
    """The message of a row that was read in full."""
    assert row.headers is not None
    assert row.structure is not None
    return EmailView.stored(row.headers, row.structure, row.blob_id, charsets)


def email_object(
    row: EmailRow, view: EmailView | None, wanted: Wanted, options: BodyOptions
) -> dict[str, Any]:
    """The Email with the properties that are wanted; `bodyValues` is left empty.

    `view` is needed when `wanted.needs_structure`.
    """
    email = {name: value_of(row) for name, value_of in wanted.metadata}
    if wanted.summary:
        assert row.summary is not None
        summary = read_summary(row.summary)
        for name, attribute in wanted.summary:
            email[name] = getattr(summary, attribute)
    for name in wanted.message:
        if name == "bodyValues":
            email[name] = {}
        else:
            assert view is not None
            email[name] = _from_message(view, name, options)
    return email


def message_object(
    view: EmailView, raw: bytes, properties: Sequence[str], options: BodyOptions
) -> dict[str, Any]:
    """The Email with these properties that `raw`, which `view` reads, would be.

    Metadata that only an Email in a mailbox has is null (RFC 8621 §4.9).
    """
    email: dict[str, Any] = {}
    for name in properties:
        if name == "blobId":
            email[name] = view.blob_id
        elif name == "size":
            email[name] = len(raw)
        elif name in METADATA:
            email[name] = None
        elif name == "preview":
            email[name] = view.preview(raw)
        elif name == "bodyValues":
            parts = value_parts(view, options)
            email[name] = view.body_values(raw, parts, options.max_octets)
        else:
            email[name] = _from_message(view, name, options)
    return email


def _from_message(view: EmailView, name: str, options: BodyOptions) -> Any:
    return view.body(name, options.properties) if name in _BODY else view[name]


def weight(view: EmailView, properties: Sequence[str], options: BodyOptions) -> int:
    """Octets that the EmailBodyParts of an Email may well take, told without making them."""
    lists = sum(name in _BODY for name in properties)
    parts = sum(1 for _ in view.root.walk()) if lists else 0
    return lists * parts * len(options.properties) * 8


def value_parts(view: EmailView, options: BodyOptions) -> list[Part]:
    """The text parts whose values the options ask for, each once."""
    parts: dict[int, Part] = {}
    for wanted, candidates in (
        (options.fetch_text, view.lists.text),
        (options.fetch_html, view.lists.html),
        (options.fetch_all, view.root.walk()),
    ):
        if wanted:
            parts |= {id(part): part for part in candidates if part.is_text}
    return list(parts.values())

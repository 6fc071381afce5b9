"""The properties of an Email that come from its message (RFC 8621 §4.1.2 to §4.1.4).

An `EmailView` answers all of them from what the store keeps, the header block
and the stored structure, or from a message just scanned:

    email = EmailView.stored(row.headers, row.structure, row.blob_id)
    email = EmailView.scanned(raw, blob_id)              # Email/parse
    email["subject"]; email["header:List-Post:asURLs"]; email["hasAttachment"]
    email.lists.text, .html, .attachments                # `Part`s
    email.body_part(part, properties)                    # an EmailBodyPart
    email.body_values(raw, parts, max_octets)            # the map of bodyValues

Names are checked before, once per method call: `is_email_property(name)`,
`is_body_property(name)`; both raise ValueError, with a message for the client,
for a header form that is not allowed.  Header fields and lists are parsed when
first asked for, once.  The metadata of RFC 8621 §4.1.1, `preview` and
`bodyValues` are not this module's.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from mailhive.mime import structure
from mailhive.mime.body import BodyLists, body_lists, body_value, has_attachment, plain_text
from mailhive.mime.charset import USUAL, Charsets
from mailhive.mime.excerpts import Excerpts
from mailhive.mime.fields import Headers
from mailhive.mime.headers import CONVENIENCE, header_value, parse_header_property
from mailhive.mime.part import Part
from mailhive.mime.scan import scan
from mailhive.mime.text import preview

__all__ = [
    "BODY_PROPERTIES",
    "DEFAULT_BODY_PROPERTIES",
    "EmailView",
    "is_body_property",
    "is_email_property",
]

#: RFC 8621 §4.2 bodyProperties when omitted.
DEFAULT_BODY_PROPERTIES = (
    "partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language",
    "location",
)  # fmt: skip
#: Every property of an EmailBodyPart that is no header property.
BODY_PROPERTIES = (*DEFAULT_BODY_PROPERTIES, "headers", "subParts")

_EMAIL_PROPERTIES = frozenset(
    {"headers", "bodyStructure", "textBody", "htmlBody", "attachments", "hasAttachment"}
) | frozenset(CONVENIENCE)

_ATTRIBUTES = {
    "partId": "part_id",
    "size": "size",
    "name": "name",
    "type": "type",
    "charset": "charset",
    "disposition": "disposition",
    "cid": "cid",
    "language": "language",
    "location": "location",
}

#: Encoded octets of a part that a preview is made from.
_PREVIEW_FROM = 65_536


def is_email_property(name: str) -> bool:
    """Does an `EmailView` have this property?  ValueError for a bad header property."""
    if name.startswith("header:"):
        parse_header_property(name)
        return True
    return name in _EMAIL_PROPERTIES


def is_body_property(name: str) -> bool:
    """Does an EmailBodyPart have this property?  ValueError for a bad header property."""
    if name.startswith("header:"):
        parse_header_property(name)
        return True
    return name in BODY_PROPERTIES


class EmailView:
    """One message, read.  `blob_id` is that of the message itself."""

    def __init__(self, root: Part, blob_id: str, charsets: Charsets = USUAL) -> None:
        self.root = root
        self.blob_id = blob_id
        self.charsets = charsets

    @classmethod
    def stored(
        cls, headers: bytes, stored_structure: bytes, blob_id: str, charsets: Charsets = USUAL
    ) -> "EmailView":
        """The view of what the store keeps of a message (`EmailRow`)."""
        return cls(structure.load(stored_structure, headers), blob_id, charsets)

    @classmethod
    def scanned(cls, raw: bytes, blob_id: str, charsets: Charsets = USUAL) -> "EmailView":
        """The view of a message."""
        return cls(scan(raw), blob_id, charsets)

    @cached_property
    def headers(self) -> Headers:
        return Headers(self.root.fields)

    @cached_property
    def lists(self) -> BodyLists:
        return body_lists(self.root)

    def __getitem__(self, name: str) -> Any:
        """The JSON value of a property; EmailBodyParts have the default properties.

        KeyError for one that `is_email_property` does not know.
        """
        if (convenience := CONVENIENCE.get(name)) is not None:
            return header_value(self.headers, convenience)
        if name.startswith("header:"):
            return header_value(self.headers, parse_header_property(name))
        if name == "hasAttachment":
            return has_attachment(self.lists)
        if name == "headers":
            return _headers(self.root)
        return self.body(name, DEFAULT_BODY_PROPERTIES)

    def body(self, name: str, properties: Sequence[str]) -> Any:
        """bodyStructure, textBody, htmlBody or attachments, with these `bodyProperties`.

        The sub-parts of bodyStructure are given whether they are asked for or
        not: without them it would be no structure (RFC 8621 §4.2).
        """
        if name == "bodyStructure":
            return self.body_part(self.root, properties, structure=True)
        parts = {
            "textBody": self.lists.text,
            "htmlBody": self.lists.html,
            "attachments": self.lists.attachments,
        }[name]
        return [self.body_part(part, properties) for part in parts]

    def body_part(
        self, part: Part, properties: Sequence[str], *, structure: bool = False
    ) -> dict[str, Any]:
        """The EmailBodyPart of a part; with `structure`, subParts too where there are any."""
        result: dict[str, Any] = {}
        for name in properties:
            if name == "subParts":
                continue
            if (attribute := _ATTRIBUTES.get(name)) is not None:
                result[name] = getattr(part, attribute)
            elif name == "blobId":
                result[name] = None if part.is_multipart else part.blob_id(self.blob_id)
            elif name == "headers":
                result[name] = _headers(part)
            else:
                headers = self.headers if part is self.root else Headers(part.fields)
                result[name] = header_value(headers, parse_header_property(name))
        if part.sub_parts is not None and structure:
            subs = (self.body_part(sub, properties, structure=True) for sub in part.sub_parts)
            result["subParts"] = list(subs)
        elif "subParts" in properties:
            result["subParts"] = None
        return result

    def preview(self, raw: bytes) -> str:
        """The preview: of the first text to be shown that has words."""
        for part in self.lists.text:
            if part.is_text:
                text = plain_text(part, raw, _PREVIEW_FROM, self.charsets)
                if line := preview(text):
                    return line
        return ""

    def body_values(
        self, raw: bytes | Excerpts, parts: Iterable[Part], max_octets: int = 0
    ) -> dict[str, dict[str, object]]:
        """The EmailBodyValues by partId of those `parts` that are `text/*`."""
        return {
            part.part_id: body_value(part, raw, max_octets, self.charsets).json()
            for part in parts
            if part.is_text and part.part_id is not None
        }


def _headers(part: Part) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in part.fields]

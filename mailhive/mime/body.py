"""Body parts as clients see them: the flat lists and the text values (RFC 8621 §4.1.4)."""

import re

from attrs import field, frozen

from mailhive.mime import charset, transfer
from mailhive.mime.charset import USUAL, Charsets
from mailhive.mime.excerpts import Excerpts
from mailhive.mime.part import Part
from mailhive.mime.text import html_to_text

__all__ = [
    "BodyLists",
    "BodyValue",
    "body_lists",
    "body_value",
    "has_attachment",
    "plain_text",
]

_INLINE_MEDIA = ("image/", "audio/", "video/")
# Parts that mail programs act on and nobody saves to disk.
_PROCESSED = frozenset({
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
})  # fmt: skip

# Markup of HTML as a tokenizer sees it.  The last branch is a tag that does not end.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?:script|style)\b[^>]*+>.*?(?=</(?:script|style)\b|\Z)"
    r"|<[a-z/!?](?:[^>=]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|(?![\"'])))*+>"
    r"|(?P<open><(?:[a-z/!?]|\Z))",
    re.IGNORECASE | re.DOTALL,
)


@frozen
class BodyLists:
    """`textBody`, `htmlBody` and `attachments`.

    `embedded` are the attachments that the root of their multipart/related can
    refer to by Content-ID or Content-Location.
    """

    text: list[Part] = field(factory=list)
    html: list[Part] = field(factory=list)
    attachments: list[Part] = field(factory=list)
    embedded: list[Part] = field(factory=list)


def body_lists(root: Part) -> BodyLists:
    """Decompose a part tree by the algorithm of RFC 8621 §4.1.4."""
    lists = BodyLists()
    _parse_structure([root], "mixed", False, lists.html, lists.text, lists)
    return lists


def _parse_structure(
    parts: list[Part],
    multipart_type: str,
    in_alternative: bool,
    html: list[Part] | None,
    text: list[Part] | None,
    lists: BodyLists,
) -> None:
    text_length = -1 if text is None else len(text)
    html_length = -1 if html is None else len(html)
    for index, part in enumerate(parts):
        inline_media = part.type.startswith(_INLINE_MEDIA)
        is_inline = (
            part.disposition != "attachment"
            and (part.type in ("text/plain", "text/html") or inline_media)
            # Of a multipart/related only the first part is shown by itself, and
            # a text with a file name that is not first is taken for an attachment.
            and (index == 0 or (multipart_type != "related" and (inline_media or not part.name)))
        )
        if part.sub_parts is not None:
            subtype = part.type.removeprefix("multipart/")
            _parse_structure(
                part.sub_parts,
                subtype,
                in_alternative or subtype == "alternative",
                html,
                text,
                lists,
            )
        elif not is_inline:
            lists.attachments.append(part)
            if multipart_type == "related" and index and (part.cid or part.location):
                lists.embedded.append(part)
        elif multipart_type == "alternative":
            # The list may be gone when an alternative holds a multipart that is one itself.
            if part.type == "text/plain" and text is not None:
                text.append(part)
            elif part.type == "text/html" and html is not None:
                html.append(part)
            else:
                lists.attachments.append(part)
        else:
            if in_alternative and part.type == "text/plain":
                html = None
            if in_alternative and part.type == "text/html":
                text = None
            if text is not None:
                text.append(part)
            if html is not None:
                html.append(part)
            if (text is None or html is None) and inline_media:
                lists.attachments.append(part)
    if multipart_type == "alternative" and text is not None and html is not None:
        if text_length == len(text) and html_length != len(html):  # HTML only
            text.extend(html[html_length:])
        if html_length == len(html) and text_length != len(text):  # plain text only
            html.extend(text[text_length:])


def has_attachment(lists: BodyLists) -> bool:
    """Is there a part to offer for download (RFC 8621 §4.1.4)?

    Inline parts, signatures and the pictures of a multipart/related are not.
    """
    embedded = {part.part_id for part in lists.embedded}
    return any(
        part.disposition != "inline"
        and part.type not in _PROCESSED
        and not (part.type.startswith("image/") and part.part_id in embedded)
        for part in lists.attachments
    )


@frozen
class BodyValue:
    """An EmailBodyValue."""

    value: str
    is_encoding_problem: bool = False
    is_truncated: bool = False

    def json(self) -> dict[str, object]:
        return {
            "value": self.value,
            "isEncodingProblem": self.is_encoding_problem,
            "isTruncated": self.is_truncated,
        }


def plain_text(part: Part, raw: bytes | Excerpts, limit: int, charsets: Charsets = USUAL) -> str:
    """The words of a `text/*` part of the message `raw`: HTML reduced to text.

    Those of up to `limit` encoded octets.  What only calls itself text has none.
    """
    encoded = raw[part.body_start : min(part.body_end, part.body_start + limit)]
    octets = transfer.decode(encoded, part.encoding)
    text, problem = _decode_charset(part, octets, charsets)
    if problem and _is_undeclared(part) and charset.is_binary(octets):
        return ""
    return html_to_text(text) if part.type == "text/html" else text


def body_value(
    part: Part, raw: bytes | Excerpts, max_octets: int = 0, charsets: Charsets = USUAL
) -> BodyValue:
    """The EmailBodyValue of a `text/*` part of the message `raw`, or of as much of it as the part.

    `max_octets` is maxBodyValueBytes (RFC 8621 §4.2): 0 for no limit.
    """
    encoded = raw[part.body_start : part.body_end]
    text, problem = _decode_charset(part, transfer.decode(encoded, part.encoding), charsets)
    problem = problem or part.unknown_encoding or transfer.is_malformed(encoded, part.encoding)
    text = text.replace("\r\n", "\n")
    if not max_octets or len(text) * 4 <= max_octets:
        return BodyValue(text, problem)
    octets = text.encode("utf-8")
    if len(octets) <= max_octets:
        return BodyValue(text, problem)
    # Cutting whole UTF-8 leaves at most one incomplete character, at the end.
    text = octets[:max_octets].decode("utf-8", "ignore")
    if part.type == "text/html":
        text = _whole_tags(text)
    return BodyValue(text, problem, True)


def _decode_charset(part: Part, octets: bytes, charsets: Charsets) -> tuple[str, bool]:
    label = part.charset
    if label is None or _is_undeclared(part):
        return charset.decode_undeclared(octets, charsets)
    return charset.decode(octets, label, charsets)


def _is_undeclared(part: Part) -> bool:
    """Is the charset of a `text/*` part what it is by default (RFC 2045 §5.2)?"""
    if part.charset != "us-ascii":
        return part.charset is None
    for name, value in part.fields:
        if name.lower() == "content-type":
            return "charset" not in value.lower()
    return True


def _whole_tags(html: str) -> str:
    """`html` less a tag at its end that was cut in the middle."""
    for match in _MARKUP.finditer(html):
        if match["open"]:
            return html[: match.start()]
    return html

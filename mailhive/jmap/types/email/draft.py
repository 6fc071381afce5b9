"""An Email object to create, checked and in one shape (RFC 8621 §4.6).

The ways in which a client can say the same thing are reduced to a list of
header fields and one tree of parts, whose leaves hold text or name a blob.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from mailhive.jmap.checks import (
    Check,
    is_date,
    is_email_address,
    is_id,
    is_string,
    list_of,
    nullable,
)
from mailhive.jmap.errors import invalid_properties
from mailhive.mime.headers import CONVENIENCE, HeaderProperty, parse_header_property
from mailhive.mime.scan import MAX_DEPTH, MAX_PARTS

__all__ = ["Draft", "DraftPart", "parse_draft"]


@frozen
class DraftPart:
    """A part of the message to be.  One of `text`, `blob_id` and `sub_parts` is given."""

    type: str
    text: str | None = None
    blob_id: str | None = None
    sub_parts: tuple["DraftPart", ...] | None = None
    charset: str | None = None
    name: str | None = None
    disposition: str | None = None
    cid: str | None = None
    language: tuple[str, ...] | None = None
    location: str | None = None
    headers: tuple[tuple[HeaderProperty, Any], ...] = ()

    def leaves(self) -> Iterator["DraftPart"]:
        """Every part that is not a multipart, in order."""
        if self.sub_parts is None:
            yield self
        else:
            for part in self.sub_parts:
                yield from part.leaves()


@frozen
class Draft:
    """A message to be: its header fields with their values, in order, and its body."""

    headers: tuple[tuple[HeaderProperty, Any], ...]
    body: DraftPart


def _is_group(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {"name", "addresses"}
        and nullable(is_string)(value.get("name"))
        and list_of(is_email_address)(value.get("addresses"))
    )


#: More would not be read again, with three multiparts around them.
_MAX_PARTS = MAX_PARTS - 3

#: The type of the value of each form (RFC 8621 §4.1.2).
_FORMS: Mapping[str, Check] = {
    "Raw": is_string,
    "Text": is_string,
    "Addresses": list_of(is_email_address),
    "GroupedAddresses": list_of(_is_group),
    "MessageIds": list_of(is_string),
    "Date": is_date,
    "URLs": list_of(is_string),
}

_BODY = ("bodyStructure", "textBody", "htmlBody", "attachments", "bodyValues")
_SETTABLE = frozenset({*_BODY, *CONVENIENCE, "mailboxIds", "keywords", "receivedAt"})

_PART: Mapping[str, Check] = {
    "partId": nullable(is_string),
    "blobId": nullable(is_id),
    "size": nullable(lambda v: type(v) is int),
    "type": nullable(is_string),
    "charset": nullable(is_string),
    "name": nullable(is_string),
    "disposition": nullable(is_string),
    "cid": nullable(is_string),
    "language": nullable(list_of(is_string)),
    "location": nullable(is_string),
    "subParts": nullable(lambda v: isinstance(v, list)),
}
#: What a header field of a part would say a second time.
_SAID_BY = {
    "content-type": ("type", "charset", "name"),
    "content-disposition": ("disposition", "name"),
    "content-id": ("cid",),
    "content-language": ("language",),
    "content-location": ("location",),
}


def parse_draft(data: Mapping[str, Any]) -> Draft:
    """The message that the object describes.

    `SetError` invalidProperties when it breaks a constraint of RFC 8621 §4.6, with the
    path of everything at fault, such as `bodyStructure/subParts/1/size`.  `mailboxIds`,
    `keywords` and `receivedAt` are not looked at.
    """
    return _Reader(data).read()


@define
class _Reader:
    data: Mapping[str, Any]
    wrong: dict[str, None] = field(factory=dict)  # paths of what is at fault
    fields: set[str] = field(factory=set)  # header fields of the Email, lower case
    values: dict[str, str] = field(factory=dict)  # partId to text
    parts: int = 0

    def read(self) -> Draft:
        for name in self.data:
            if name not in _SETTABLE and not name.startswith("header:"):
                self._refuse(name)
        headers = self._headers(self.data, self.fields, "")
        for wanted, _ in headers:  # these belong to body parts
            if wanted.key.startswith("content-") or wanted.key == "mime-version":
                self._refuse(wanted.name)
        self._read_values()
        body = self._body()
        if self.wrong:
            raise invalid_properties(list(self.wrong))
        assert body is not None
        return Draft(headers, body)

    def _refuse(self, *path: str) -> None:
        self.wrong["/".join(step for step in path if step)] = None

    def _headers(
        self, data: Mapping[str, Any], seen: set[str], at: str
    ) -> tuple[tuple[HeaderProperty, Any], ...]:
        """The header properties of an Email, or of the part whose path `at` is."""
        found = []
        for name, value in data.items():
            if name.startswith("header:"):
                try:
                    wanted = parse_header_property(name)
                except ValueError:
                    self._refuse(at, name)
                    continue
            elif not at and name in CONVENIENCE:
                wanted = CONVENIENCE[name]
            else:
                continue
            if value is None:
                continue
            check = _FORMS[wanted.form]
            right = (list_of(check) if wanted.all else check)(value)
            if not right or wanted.key in seen:  # each field in one way only
                self._refuse(at, name)
            else:
                seen.add(wanted.key)
                found.append((wanted, value))
        return tuple(found)

    def _read_values(self) -> None:
        values = self.data.get("bodyValues")
        if values is None:
            return
        if not isinstance(values, dict):
            self._refuse("bodyValues")
            return
        for part_id, value in values.items():
            at = f"bodyValues/{_escaped(part_id)}"
            if not isinstance(value, dict) or not is_string(value.get("value")):
                self._refuse(at)
                continue
            self.values[part_id] = value["value"]
            for name, flag in value.items():
                # RFC 8621 §4.6: either flag is false or left out.
                is_flag = name in ("isEncodingProblem", "isTruncated")
                if name != "value" and not (is_flag and (flag is None or flag is False)):
                    self._refuse(at, name)

    def _body(self) -> DraftPart | None:
        data = self.data
        structure = data.get("bodyStructure")
        simple = [n for n in ("textBody", "htmlBody", "attachments") if data.get(n) is not None]
        if structure is not None:
            for name in simple:
                self._refuse(name)
            return self._part(structure, "bodyStructure", None, 0, self.fields)
        text = self._single("textBody", "text/plain")
        html = self._single("htmlBody", "text/html")
        attachments = data.get("attachments")
        if attachments is None:
            attachments = []
        if not isinstance(attachments, list):
            self._refuse("attachments")
            return None
        parts = [
            self._part(a, f"attachments/{i}", "application/octet-stream", 0)
            for i, a in enumerate(attachments)
        ]
        if self.wrong:
            return None
        return _assemble(text, html, [p for p in parts if p is not None])

    def _single(self, name: str, media_type: str) -> DraftPart | None:
        parts = self.data.get(name)
        if parts is None:
            return None
        if not isinstance(parts, list) or len(parts) != 1:
            self._refuse(name)
            return None
        part = self._part(parts[0], f"{name}/0", media_type, 0)
        if part is not None and part.type != media_type:
            self._refuse(name, "0", "type")
        return part

    def _part(
        self,
        data: Any,
        at: str,
        default_type: str | None,
        depth: int,
        taken: set[str] | None = None,
    ) -> DraftPart | None:
        """One EmailBodyPart; None after noting what is wrong with it."""
        if not isinstance(data, dict) or depth >= MAX_DEPTH:  # deeper would not be read again
            self._refuse(at)
            return None
        self.parts += 1
        if self.parts > _MAX_PARTS:
            self._refuse(at.partition("/")[0])
            return None
        wrong = [n for n, v in data.items() if not n.startswith("header:") and not _fits(n, v)]
        if wrong:
            for name in wrong:
                self._refuse(at, name)
            return None
        given = {name: value for name, value in data.items() if value is not None}
        media_type = given.get("type", default_type or "text/plain").strip().lower()
        seen = {f for f, names in _SAID_BY.items() if any(n in given for n in names)}
        seen |= {"content-transfer-encoding"} | (taken or set())
        headers = self._headers(given, seen, at)
        common: dict[str, Any] = {
            "name": given.get("name"),
            "disposition": given.get("disposition"),
            "cid": given.get("cid"),
            "language": tuple(given["language"]) if "language" in given else None,
            "location": given.get("location"),
            "headers": headers,
        }
        if media_type.startswith("multipart/"):
            for name in ("partId", "blobId"):  # it has no content of its own
                if name in given:
                    self._refuse(at, name)
            subs = [
                self._part(s, f"{at}/subParts/{i}", None, depth + 1)
                for i, s in enumerate(given.get("subParts", ()))
            ]
            return DraftPart(media_type, sub_parts=tuple(s for s in subs if s), **common)
        if "subParts" in given:
            self._refuse(at, "subParts")
            return None
        return self._leaf(given, media_type, at, common)

    def _leaf(
        self, given: Mapping[str, Any], media_type: str, at: str, common: Mapping[str, Any]
    ) -> DraftPart | None:
        if ("partId" in given) == ("blobId" in given):
            self._refuse(at, "partId" if "partId" in given else "")
        elif "blobId" in given:
            charset = given.get("charset")
            return DraftPart(media_type, blob_id=given["blobId"], charset=charset, **common)
        elif "charset" in given or "size" in given:
            for name in ("charset", "size"):  # they follow from the text
                if name in given:
                    self._refuse(at, name)
        elif given["partId"] not in self.values:
            self._refuse(at, "partId")
        else:
            return DraftPart(media_type, text=self.values[given["partId"]], **common)
        return None


def _fits(name: str, value: Any) -> bool:
    """May a part have this property with this value?"""
    return name in _PART and _PART[name](value)


def _escaped(name: str) -> str:
    """A step of a path, as in a JSON Pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _assemble(
    text: DraftPart | None, html: DraftPart | None, attachments: list[DraftPart]
) -> DraftPart:
    """The tree that a mail client would make: related inside alternative inside mixed."""
    inline = [a for a in attachments if html and a.cid and a.disposition != "attachment"]
    # Without a disposition a picture would be read as part of the text (RFC 8621 §4.1.4).
    attached = [
        evolve(a, disposition=a.disposition or "attachment") for a in attachments if a not in inline
    ]
    if html is not None and inline:
        html = DraftPart("multipart/related", sub_parts=(html, *inline))
    if text is not None and html is not None:
        body = DraftPart("multipart/alternative", sub_parts=(text, html))
    else:
        body = text or html or DraftPart("text/plain", text="")
    if not attached:
        return body
    if text is None and html is None:
        return attached[0] if len(attached) == 1 else _mixed(*attached)
    return _mixed(body, *attached)


def _mixed(*parts: DraftPart) -> DraftPart:
    return DraftPart("multipart/mixed", sub_parts=parts)

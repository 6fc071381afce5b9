"""Email objects to create: the constraints of RFC 8621 §4.6."""

from typing import Any

import pytest

from mailhive.jmap.errors import SetError
from mailhive.jmap.types.email.draft import DraftPart, parse_draft
from mailhive.mime.scan import MAX_PARTS

TEXT = {
    "textBody": [{"partId": "t", "type": "text/plain"}],
    "bodyValues": {"t": {"value": "Hi"}, "h": {"value": "<p>Hi"}},
}
HTML = {"htmlBody": [{"partId": "h", "type": "text/html"}]}


def shape(part: DraftPart) -> Any:
    if part.sub_parts is None:
        return part.type
    return [part.type.removeprefix("multipart/"), *map(shape, part.sub_parts)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "text/plain"),
        (TEXT, "text/plain"),
        (TEXT | HTML, ["alternative", "text/plain", "text/html"]),
        (
            TEXT | HTML | {"attachments": [{"blobId": "b1"}]},
            ["mixed", ["alternative", "text/plain", "text/html"], "application/octet-stream"],
        ),
        (
            TEXT
            | HTML
            | {
                "attachments": [
                    {"blobId": "b1", "type": "image/png", "cid": "x", "disposition": "inline"},
                    {"blobId": "b2", "type": "application/pdf", "disposition": "attachment"},
                ]
            },
            [
                "mixed",
                ["alternative", "text/plain", ["related", "text/html", "image/png"]],
                "application/pdf",
            ],
        ),
        ({"attachments": [{"blobId": "b1", "type": "image/png"}]}, "image/png"),
        (
            {
                "bodyStructure": {
                    "type": "Multipart/Mixed",
                    "subParts": [{"partId": "t"}, {"blobId": "b", "type": "message/rfc822"}],
                },
                "bodyValues": TEXT["bodyValues"],
            },
            ["mixed", "text/plain", "message/rfc822"],
        ),
    ],
)
def test_bodies(data: Any, expected: Any) -> None:
    assert shape(parse_draft(data).body) == expected


def test_headers_keep_their_order_and_form() -> None:
    draft = parse_draft(
        {
            "mailboxIds": {"M1": True},
            "from": [{"name": "A", "email": "a@example.org"}],
            "subject": "Hi",
            "cc": None,
            "header:X-List:asURLs": ["http://example.org"],
            "header:X-Many:all": [" a", " b"],
        }
    )
    assert [(h.field, h.form, h.all) for h, _ in draft.headers] == [
        ("From", "Addresses", False),
        ("Subject", "Text", False),
        ("X-List", "URLs", False),
        ("X-Many", "Raw", True),
    ]


@pytest.mark.parametrize(
    ("data", "properties"),
    [
        ({"headers": []}, ["headers"]),
        ({"id": "x", "size": 1}, ["id", "size"]),
        ({"nope": 1}, ["nope"]),
        ({"subject": 1}, ["subject"]),
        ({"subject": "a", "header:Subject": " b"}, ["header:Subject"]),
        ({"header:from": " a", "from": []}, ["from"]),
        ({"header:From:asDate": "2020-01-01T00:00:00Z"}, ["header:From:asDate"]),
        ({"header:Content-Type": " text/plain"}, ["header:Content-Type"]),
        ({"from": [{"name": "A"}]}, ["from"]),
        ({"sentAt": "yesterday"}, ["sentAt"]),
        (TEXT | {"bodyStructure": {"partId": "t"}}, ["textBody"]),
        ({"textBody": []}, ["textBody"]),
        ({"textBody": TEXT["textBody"]}, ["textBody/0/partId"]),
        (
            {"textBody": [{"partId": "h", "type": "text/html"}], "bodyValues": TEXT["bodyValues"]},
            ["textBody/0/type"],
        ),
        (TEXT | {"textBody": [{"partId": "t", "charset": "utf-8"}]}, ["textBody/0/charset"]),
        (TEXT | {"textBody": [{"partId": "t", "size": 3}]}, ["textBody/0/size"]),
        (TEXT | {"textBody": [{"partId": "t", "blobId": "b"}]}, ["textBody/0/partId"]),
        (TEXT | {"textBody": [{"type": "text/plain"}]}, ["textBody/0"]),
        (
            TEXT | {"textBody": [{"partId": "t", "header:Content-Transfer-Encoding": " 7bit"}]},
            ["textBody/0/header:Content-Transfer-Encoding"],
        ),
        (
            TEXT
            | {"textBody": [{"partId": "t", "type": "text/plain", "header:Content-Type": " x"}]},
            ["textBody/0/header:Content-Type"],
        ),
        ({"attachments": [{"blobId": "a b"}]}, ["attachments/0/blobId"]),
        (
            {"attachments": [{"blobId": "b"}, {"blobId": "b", "headers": []}]},
            ["attachments/1/headers"],
        ),
        (
            {"bodyStructure": {"type": "multipart/mixed", "subParts": [{"partId": "t", "size": 1}]}}
            | {"bodyValues": TEXT["bodyValues"]},
            ["bodyStructure/subParts/0/size"],
        ),
        ({"attachments": {}}, ["attachments"]),
        ({"bodyValues": {"t": {"value": "x", "isTruncated": True}}}, ["bodyValues/t/isTruncated"]),
        ({"bodyValues": {"a/b": {"value": "x", "nope": 1}}}, ["bodyValues/a~1b/nope"]),
        ({"bodyValues": {"t": "x"}}, ["bodyValues/t"]),
        ({"bodyValues": []}, ["bodyValues"]),
        ({"bodyStructure": {"type": "multipart/mixed", "blobId": "b"}}, ["bodyStructure/blobId"]),
        ({"bodyStructure": {"type": "text/plain", "subParts": []}}, ["bodyStructure/subParts"]),
        (
            TEXT
            | {
                "textBody": None,
                "header:X-A": " 1",
                "bodyStructure": {"partId": "t", "header:x-a": " 2"},
            },
            ["bodyStructure/header:x-a"],
        ),
    ],
)
def test_what_is_refused_is_named(data: Any, properties: list[str]) -> None:
    with pytest.raises(SetError) as caught:
        parse_draft(data)
    assert caught.value.type == "invalidProperties"
    assert caught.value.extra["properties"] == properties


def test_body_values_may_say_that_they_are_whole() -> None:
    value = {"value": "Hi", "isTruncated": False, "isEncodingProblem": None}
    draft = parse_draft({"textBody": [{"partId": "t"}], "bodyValues": {"t": value}})
    assert draft.body.text == "Hi"


def test_parts_nested_without_end_are_refused() -> None:
    part: Any = {"partId": "t"}
    for _ in range(190):
        part = {"type": "multipart/mixed", "subParts": [part]}
    with pytest.raises(SetError):
        parse_draft({"bodyStructure": part, "bodyValues": TEXT["bodyValues"]})


def test_more_parts_than_would_be_read_again_are_refused() -> None:
    attachments = [{"blobId": "b", "type": "image/png"}] * (MAX_PARTS - 4)
    draft = parse_draft(TEXT | {"attachments": attachments})
    assert len(list(draft.body.leaves())) == MAX_PARTS - 3
    with pytest.raises(SetError) as caught:
        parse_draft(TEXT | {"attachments": [*attachments, attachments[0]]})
    assert caught.value.extra["properties"] == ["attachments"]
    structure = {"type": "multipart/mixed", "subParts": attachments * 2}
    with pytest.raises(SetError) as caught:
        parse_draft({"bodyStructure": structure})
    assert caught.value.extra["properties"] == ["bodyStructure"]

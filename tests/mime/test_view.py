"""Properties of an Email, from a message and from what the store keeps of it."""

import pytest

from mailhive.mime import structure
from mailhive.mime.headers import CONVENIENCE
from mailhive.mime.scan import header_block, scan
from mailhive.mime.view import (
    DEFAULT_BODY_PROPERTIES,
    EmailView,
    is_body_property,
    is_email_property,
)
from mailhive.model.blobid import split_blob_id

RAW = """From: Joe Bloggs <joe@example.com>
To: list@example.com
Cc:
Subject: Dinner on Thursday?
Date: Sun, 13 Oct 2013 14:12:00 +0000
List-POST: <mailto:partytime@lists.example.com>
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8
X-Part: one

<html><body><p>Hello World</p></body></html>
--b
Content-Type: text/plain

-- 
Sent by your friendly mailing list
--b
Content-Type: image/png; name=p.png
Content-ID: <p@q>
Content-Transfer-Encoding: base64

QUJD
--b--
""".replace("\n", "\r\n").encode()  # noqa: W291


@pytest.fixture(params=["scanned", "stored"])
def view(request: pytest.FixtureRequest) -> EmailView:
    if request.param == "scanned":
        return EmailView.scanned(RAW, "B1")
    root = scan(RAW)
    return EmailView.stored(header_block(RAW, root), structure.store(root), "B1")


def test_the_example_of_email_get(view: EmailView) -> None:
    # RFC 8621 §4.2.1
    assert view["from"] == [{"name": "Joe Bloggs", "email": "joe@example.com"}]
    assert view["subject"] == "Dinner on Thursday?"
    assert view["header:List-POST:asURLs"] == ["mailto:partytime@lists.example.com"]
    parts = view.body("htmlBody", ["partId", "size", "type"])
    assert parts[:2] == [
        {"partId": "1", "size": 44, "type": "text/html"},
        {"partId": "2", "size": 39, "type": "text/plain"},
    ]
    values = view.body_values(RAW, view.lists.html, 20)
    assert values == {
        "1": {"value": "<html><body><p>Hello", "isEncodingProblem": False, "isTruncated": True},
        "2": {"value": "-- \nSent by your fri", "isEncodingProblem": False, "isTruncated": True},
    }


def test_convenience_properties(view: EmailView) -> None:
    assert {name: view[name] for name in CONVENIENCE} == {
        "messageId": ["1@example.com"],
        "inReplyTo": None,
        "references": None,
        "sender": None,
        "from": [{"name": "Joe Bloggs", "email": "joe@example.com"}],
        "to": [{"name": None, "email": "list@example.com"}],
        "cc": [],
        "bcc": None,
        "replyTo": None,
        "subject": "Dinner on Thursday?",
        "sentAt": "2013-10-13T14:12:00Z",
    }


def test_headers(view: EmailView) -> None:
    assert view["headers"][:3] == [
        {"name": "From", "value": " Joe Bloggs <joe@example.com>"},
        {"name": "To", "value": " list@example.com"},
        {"name": "Cc", "value": ""},
    ]
    assert view["bodyStructure"].keys() == {*DEFAULT_BODY_PROPERTIES, "subParts"}


def test_body_structure(view: EmailView) -> None:
    wanted = ("partId", "blobId", "header:x-part:asText", "headers", "subParts")
    body = view.body("bodyStructure", wanted)
    assert (body["partId"], body["blobId"]) == (None, None)
    assert body["headers"] == view["headers"]
    html, text, image = body["subParts"]
    assert html["header:x-part:asText"] == "one"
    assert html["headers"][1] == {"name": "X-Part", "value": " one"}
    assert text["header:x-part:asText"] is None
    assert html["subParts"] is text["subParts"] is image["subParts"] is None
    base, (part,) = split_blob_id(image["blobId"])
    assert base == "B1"
    assert RAW[part.start : part.start + part.length] == b"QUJD"
    assert part.encoding == "b"


def test_a_part_in_full(view: EmailView) -> None:
    (image,) = view["attachments"] or view["textBody"][2:]
    assert {name: value for name, value in image.items() if name != "blobId"} == {
        "partId": "3",
        "size": 3,
        "name": "p.png",
        "type": "image/png",
        "charset": None,
        "disposition": None,
        "cid": "p@q",
        "language": None,
        "location": None,
    }


def test_preview_and_attachment(view: EmailView) -> None:
    assert view.preview(RAW) == "Hello World"
    assert view["hasAttachment"] is False


def test_names_of_properties() -> None:
    assert is_email_property("subject")
    assert is_email_property("header:X:asText:all")
    assert not is_email_property("receivedAt")
    assert not is_email_property("bodyValues")
    assert is_body_property("subParts")
    assert is_body_property("header:X")
    assert not is_body_property("subject")
    for check in (is_email_property, is_body_property):
        with pytest.raises(ValueError, match="asDate"):
            check("header:From:asDate")


def test_metadata_is_not_here(view: EmailView) -> None:
    with pytest.raises(KeyError):
        view["receivedAt"]

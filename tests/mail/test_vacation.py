"""Which messages get a vacation response, and what it says."""

from typing import Any

import pytest
from attrs import evolve

from mailhive.mail.vacation import Vacation, address_to_answer_from, response
from mailhive.mime.body import plain_text
from mailhive.mime.fields import Headers, parse_fields
from mailhive.mime.headers import as_message_ids
from mailhive.mime.view import EmailView

OWN = ("alice@example.org", "Al@Example.org", "@catch.example")
TO_ALICE = b"From: bob@example.com\r\nTo: Alice <alice@example.org>\r\nSubject: hi\r\n"
AWAY = Vacation(True, None, None, None, "Away.", None)


def headers(block: bytes) -> Headers:
    return Headers(parse_fields(block))


def answered_from(
    extra: bytes = b"",
    sender: str = "bob@example.com",
    block: bytes = TO_ALICE,
    recipients: tuple[str, ...] = ("alice@example.org",),
) -> str | None:
    return address_to_answer_from(headers(block + extra), sender, OWN, recipients)


def test_mail_of_a_person_is_answered():
    assert answered_from() == "alice@example.org"


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "nobody",
        "@example.com",
        "MAILER-DAEMON@example.com",
        "listserv@example.com",
        "Majordomo@example.com",
        "owner-list@example.com",
        "list-owner@example.com",
        "list-request@example.com",
        "bounces@example.com",
        "bounce+id=alice=example.org@example.com",
        "news-bounces@example.com",
        "noreply@example.com",
        "No-Reply@example.com",
        "no_reply+123@example.com",
        "shop-noreply@example.com",
        "DoNotReply@example.com",
        "do-not-reply@example.com",
        "alice@example.org",
        "ALICE+x@example.org",
        "al@example.org",
    ],
)
def test_senders_that_get_no_answer(sender):
    assert answered_from(sender=sender) is None


@pytest.mark.parametrize(
    "sender", ["bob+list@example.com", "norepo@example.com", "requests@example.com",
               "flower@example.com", "carol@example.org", "x@catch.example",
               "ü@example.com"],
)  # fmt: skip
def test_senders_that_get_an_answer(sender):
    assert answered_from(sender=sender) == "alice@example.org"


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: auto-replied",
        b"Auto-Submitted: auto-generated; owner-email=x@example.com",
        b"auto-submitted: (a comment) Auto-Notified",
        b"Auto-Submitted: no\r\nAuto-Submitted: auto-generated",
        b"Precedence: bulk",
        b"Precedence: LIST",
        b"precedence:\r\n junk (really)",
        b"List-Id: <list.example.com>",
        b"List-Unsubscribe: <mailto:x@example.com>",
        b"list-post: NO",
        b"X-Auto-Response-Suppress: All",
        b"X-Auto-Response-Suppress: DR, OOF,AutoReply",
        b'Content-Type: multipart/report; report-type="delivery-status"; boundary=b',
    ],
)
def test_fields_that_forbid_an_answer(field):
    assert answered_from(field + b"\r\n") is None


@pytest.mark.parametrize(
    "field",
    [
        b"Auto-Submitted: no",
        b"Auto-Submitted: No; x=auto-replied",
        b"Precedence: first-class",
        b"X-Auto-Response-Suppress: DR, RN, NRN",
        b"X-Auto-Response-Suppress: None",
        b"X-List-Id: nothing",
        b"Content-Type: multipart/mixed; boundary=report",
    ],
)
def test_fields_that_do_not(field):
    assert answered_from(field + b"\r\n") == "alice@example.org"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"To: bob@example.com\r\nCc: x@example.com, AL@example.org\r\n", "AL@example.org"),
        (b"To: all: bob@example.com, alice+tag@EXAMPLE.org;\r\n", "alice+tag@EXAMPLE.org"),
        (b"To: x@example.com\r\nResent-To: alice@example.org\r\n", "alice@example.org"),
        (b"Bcc: alice@example.org\r\n", "alice@example.org"),
        (b"To: al@example.org\r\nCc: alice@example.org\r\n", "alice@example.org"),  # the recipient
        (b"To: list@example.org\r\n", None),
        (b"To: undisclosed-recipients:;\r\n", None),
        (b"Subject: nobody is named\r\n", None),
        (b"To: any@catch.example\r\n", None),
        (
            b'To: <>, @, alice@example.org@example.com, "alice@example.org" <x@example.com>\r\n',
            None,
        ),
    ],
)
def test_only_mail_that_names_the_account_is_answered(block, expected):
    assert answered_from(block=block) == expected


def test_the_time_of_a_vacation():
    vacation = Vacation.of(
        {
            "isEnabled": True,
            "fromDate": "2026-03-01T00:00:00Z",
            "toDate": "2026-03-02T00:00:00Z",
            "subject": None,
            "textBody": None,
            "htmlBody": None,
        }
    )
    first, day = 1_772_323_200_000, 86_400_000
    assert [vacation.is_on(t) for t in (first - 1, first, first + day - 1, first + day)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert AWAY.is_on(0)
    assert not evolve(AWAY, is_enabled=False).is_on(first)


def test_notes_are_of_a_sender_and_the_words():
    assert AWAY.note("bob@example.com") == evolve(AWAY, to_date=5).note("BOB@Example.COM")
    others = {
        AWAY.note("carol@example.com"),
        evolve(AWAY, subject="S").note("bob@example.com"),
        evolve(AWAY, text="Away!").note("bob@example.com"),
        evolve(AWAY, html="<p>Away.").note("bob@example.com"),
    }
    assert len(others | {AWAY.note("bob@example.com")}) == 5


# What it says


class Response:
    """A response, read back."""

    def __init__(self, raw: bytes) -> None:
        self.header = raw.partition(b"\r\n\r\n")[0] + b"\r\n"
        self.email = EmailView.scanned(raw, "b")
        self.root = self.email.root
        self.texts = [plain_text(part, raw, 10_000) for part in self.email.lists.text]

    def __getitem__(self, name: str) -> Any:
        return self.email[name]


def respond(vacation: Vacation, block: bytes = TO_ALICE, name: str = "Alice") -> Response:
    raw = response(
        vacation,
        headers(block),
        "bob@example.com",
        "alice@example.org",
        name,
        host="mail.example.org",
        now=1_772_323_200_000,
    )
    return Response(raw)


def test_the_fields_of_a_response():
    email = respond(AWAY, TO_ALICE + b"Message-ID: <1@example.com>\r\nReferences: <0@x> <00@x>\r\n")
    assert email["from"] == [{"name": "Alice", "email": "alice@example.org"}]
    assert email["to"] == [{"name": None, "email": "bob@example.com"}]
    assert email["subject"] == "Auto: hi"
    assert email["inReplyTo"] == ["1@example.com"]
    assert email["references"] == ["0@x", "00@x", "1@example.com"]
    assert email["header:auto-submitted"].strip() == "auto-replied"
    assert email["header:precedence"] is None
    assert email["sentAt"] == "2026-03-01T00:00:00Z"
    assert email["messageId"][0].endswith("@mail.example.org")
    assert email.texts == ["Away."]
    assert (email.root.type, email.root.charset) == ("text/plain", "us-ascii")
    # Another responder leaves it alone, even one that sees no envelope.
    back = address_to_answer_from(
        headers(email.header), "alice@example.org", ("bob@example.com",), ("bob@example.com",)
    )
    assert back is None


def test_a_message_without_an_id():
    email = respond(AWAY, b"To: alice@example.org\r\nReferences: <0@x>\r\n", name="")
    assert (email["inReplyTo"], email["references"]) == (None, None)
    assert email["subject"] == "Automatic reply"
    assert email["from"] == [{"name": None, "email": "alice@example.org"}]


def test_references_without_a_references_field():
    block = b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n"
    assert respond(AWAY, block)["references"] == ["1@x", "2@x"]
    block = b"Message-ID: <2@x>\r\nIn-Reply-To: <1@x> <0@x>\r\n"
    assert respond(AWAY, block)["references"] == ["2@x"]
    many = b" ".join(b"<%d@x>" % n for n in range(100))
    references = respond(AWAY, b"Message-ID: <m@x>\r\nReferences: %s\r\n" % many)["references"]
    assert (references[0], references[1], references[-2:]) == ("0@x", "70@x", ["99@x", "m@x"])


def test_subjects():
    assert respond(evolve(AWAY, subject="I am away"))["subject"] == "I am away"
    assert respond(evolve(AWAY, subject=""))["subject"] == ""
    encoded = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\t aus  Wien\r\n"
    assert respond(AWAY, encoded)["subject"].startswith("Auto: Grüße")
    assert len(respond(AWAY, b"Subject: " + b"long " * 1000 + b"\r\n")["subject"]) <= 206


def test_bodies():
    email = respond(evolve(AWAY, text="Grüße\naus Wien"))
    assert (email.root.type, email.root.charset) == ("text/plain", "utf-8")
    assert email.texts == ["Grüße\r\naus Wien"]
    both = respond(evolve(AWAY, html="<p>Away, in <b>HTML</b>.</p>"))
    assert both.root.type == "multipart/alternative"
    assert [part.type for part in both.root.sub_parts] == ["text/plain", "text/html"]
    assert both.texts == ["Away."]
    html = respond(evolve(AWAY, text=None, html="<p>Away, in <b>HTML</b>.</p>"))
    assert [part.type for part in html.root.sub_parts] == ["text/plain", "text/html"]
    assert html.texts == ["Away, in HTML."]
    assert "away" in respond(evolve(AWAY, text=None)).texts[0]
    assert respond(evolve(AWAY, text="", html=None)).texts == [""]


def test_no_header_can_be_smuggled_in():
    email = respond(
        evolve(AWAY, subject="x\r\nBcc: victim@example.com"),
        b"Subject: y\r\nMessage-ID: <1@x\r\n Bcc:victim@example.com>\r\n",
        name="A\r\nBcc: victim@example.com",
    )
    assert email["bcc"] is None
    assert as_message_ids(email["header:in-reply-to"]) is not None

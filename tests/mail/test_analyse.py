"""What ingest finds in a message."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from mailhive.mail.analyse import MAX_SEARCH_CHARACTERS, analyse
from mailhive.mime.headers import CONVENIENCE
from mailhive.mime.view import EmailView

ATTACHED = "Subject: inner subject\nFrom: Inner <in@example.com>\n\ninner words\n"
RAW = f"""Received: from a by b; Fri, 21 Nov 1997 09:55:06 -0600
Message-ID: <own@example.com>
In-Reply-To: <parent@example.com>
References: <root@example.com> <parent@example.com>
Date: Fri, 21 Nov 1997 09:55:06 -0600
From: Zoë <zoe@example.com>, second@example.com
To: plain@example.com
Cc: Group: "C C" <cc@example.com>;
Subject: Re: [list] =?utf-8?q?=C3=9Cber?= Dinner
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c

plain words
> quoted
--c
Content-Type: text/html; charset=utf-8

<style>hidden</style><p>html <b>w</b>ords</p>
--c--
--b
Content-Type: application/pdf; name="report.pdf"
Content-Transfer-Encoding: base64

UERG
--b
Content-Type: message/rfc822
Content-Transfer-Encoding: base64

{base64.b64encode(ATTACHED.encode()).decode()}
--b--
""".replace("\n", "\r\n").encode()


def test_a_message() -> None:
    email = analyse(RAW, "B1", 5)
    assert (email.blob_id, email.size, email.received_at) == ("B1", len(RAW), 5)
    assert email.sent_at == 880127706000
    assert email.message_id == "own@example.com"
    assert email.message_ids == ("own@example.com", "parent@example.com", "root@example.com")
    assert email.thread_subject == "überdinner".replace("ü", "u\u0308")
    assert email.sort_from == "zoe\u0308"
    assert email.sort_to == "plain@example.com"
    assert email.sort_subject == "u\u0308ber dinner"
    assert email.has_attachment
    assert email.headers.endswith(b"boundary=b\r\n\r\n")
    search = email.search
    assert search.sender == "Zoë zoe@example.com second@example.com"
    assert search.cc == "C C cc@example.com"
    assert search.subject == "Re: [list] Über Dinner"
    assert search.attachments == "report.pdf"
    assert search.body.split() == (
        [
            "plain",
            "words",
            ">",
            "quoted",
            "html",
            "words",
            "inner",
            "subject",
            "Inner",
            "in@example.com",
            "inner",
            "words",
        ]
    )


def test_the_summary_is_what_email_get_answers() -> None:
    email = analyse(RAW, "B1", 5)
    summary = json.decode(email.summary)
    assert list(summary) == [*CONVENIENCE, "hasAttachment", "preview"]
    view = EmailView.stored(email.headers, email.structure, "B1")
    for name in (*CONVENIENCE, "hasAttachment"):
        assert summary[name] == view[name]
    assert summary["preview"] == view.preview(RAW) == "plain words"
    assert view["bodyStructure"] == EmailView.scanned(RAW, "B1")["bodyStructure"]


def test_a_message_of_nothing() -> None:
    email = analyse(b"", "B", 0)
    assert (email.message_id, email.message_ids, email.sent_at) == (None, (), None)
    assert (email.thread_subject, email.sort_from, email.has_attachment) == ("", "", False)
    assert json.decode(email.summary) == {
        **dict.fromkeys(CONVENIENCE), "hasAttachment": False, "preview": "",
    }  # fmt: skip


def test_the_text_indexed_is_bounded() -> None:
    raw = b"Subject: x\r\n\r\n" + b"word " * MAX_SEARCH_CHARACTERS
    assert len(analyse(raw, "B", 0).search.body) <= MAX_SEARCH_CHARACTERS


def test_what_only_calls_itself_text_has_no_words() -> None:
    head = b"Subject: x\r\nContent-Type: text/csv\r\n\r\n"
    assert analyse(head + bytes(range(256)) * 8, "B", 0).search.body == ""
    assert analyse(head + b"a,\xe4,\0\n" * 9, "B", 0).search.body.split() == ["a,ä,"] * 9
    assert analyse(head + b"words\0" * 9, "B", 0).search.body == "words" * 9


@pytest.mark.timeout(100)
def test_messages_within_messages_end() -> None:
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 100_000 + b"words"
    assert analyse(raw, "B", 0).search.body == ""


BITS = [
    b"Subject: =?utf-7?q?+2AA-?=",
    b'From: "',
    b"To: <a@b>,",
    b"Date: 1 Jan 99999",
    b"\r\n",
    b"\r\n\r\n",
    b"Message-ID: <a>",
    b"References: <",
    b"Content-Type: text/html; charset=utf-16",
    b"Content-Type: text/plain; charset=utf-7",
    b"+2AA-",
    b"<p>",
    b"\xff\xfe",
    b"\0",
    b"\xd8\x00",
    b"Content-Type: message/rfc822",
    b"Content-Type: multipart/related; boundary=a",
    b"--a",
    b"--a--",
    b"Content-Disposition: attachment; filename*=utf-7''+2AA-",
    b"Content-Transfer-Encoding: base64",
    b"Content-ID: <c>",
    b"[fwd:",
    b"re:",
]


@given(st.lists(st.sampled_from(BITS), max_size=40).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_any_message_is_analysed(raw: bytes) -> None:
    email = analyse(raw, "B", 0)
    json.decode(email.summary)
    json.decode(email.structure)
    search = email.search
    for text in (
        search.body,
        search.subject,
        search.sender,
        search.attachments,
        email.sort_subject,
    ):
        assert "\0" not in text
        text.encode("utf-8")
    view = EmailView.stored(email.headers, email.structure, "B")
    assert view.root == EmailView.scanned(raw, "B").root
    json.encode(view.body_values(raw, view.root.walk(), 10))

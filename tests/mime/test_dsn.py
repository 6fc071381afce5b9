from email import message_from_bytes, policy
from typing import Any

from mailhive.mime.dsn import RecipientReport, delivery_status_notification
from mailhive.mime.scan import scan

ORIGINAL = b"From: a@example.org\r\nSubject: Hello\r\n\r\nBody\r\n"


def made(*recipients: RecipientReport, original: bytes = ORIGINAL, **more: Any) -> Any:
    given = {"envelope_id": None, "is_full": False, "sender": "alice@example.org"} | more
    raw = delivery_status_notification(
        hostname="mx.example.org",
        now=1_700_000_000_000,
        arrived_at=1_690_000_000_000,
        retry_until=1_710_000_000_000,
        recipients=recipients,
        original=original,
        **given,
    )
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    return message_from_bytes(raw, policy=policy.default)


FAILED = RecipientReport("b@x.example", "failed", "550 5.1.1 Nobody", "mx.x.example")


def test_the_three_parts() -> None:
    message = made(FAILED)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"] == "alice@example.org" and message["Auto-Submitted"] == "auto-replied"
    words, status, header = message.iter_parts()
    assert "<b@x.example>" in words.get_content()
    assert "mx.x.example said: 550 5.1.1 Nobody" in words.get_content()
    whole, recipient = status.get_payload()
    assert whole["Reporting-MTA"] == "dns; mx.example.org"
    assert whole["Arrival-Date"] == "Sat, 22 Jul 2023 04:26:40 +0000"
    assert dict(recipient) == {
        "Final-Recipient": "rfc822;b@x.example",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.x.example",
        "Diagnostic-Code": "smtp; 550 5.1.1 Nobody",
        "Last-Attempt-Date": "Tue, 14 Nov 2023 22:13:20 +0000",
    }
    assert header.get_content_type() == "text/rfc822-headers"
    assert "Subject: Hello" in header.get_content() and "Body" not in header.get_content()


def test_several_recipients_and_what_the_sender_gave() -> None:
    message = made(
        RecipientReport("c@x.example", "delayed", "450 4.2.0 Later"),
        RecipientReport("b@x.example", "delivered", "250 2.0.0 Ok", "", "rfc822;B+2Bx@x.example"),
        FAILED,
        envelope_id="id+2B1",
    )
    assert message["Subject"] == "Undelivered mail returned to sender"
    whole, *recipients = list(message.iter_parts())[1].get_payload()
    assert whole["Original-Envelope-Id"] == "id+1"
    assert [r["Action"] for r in recipients] == ["delayed", "delivered", "failed"]
    assert recipients[0]["Will-Retry-Until"] == "Sat, 09 Mar 2024 16:00:00 +0000"
    assert recipients[1]["Original-Recipient"] == "rfc822;B+x@x.example"
    # Nobody else said so.
    assert recipients[1]["Remote-MTA"] is None and recipients[1]["Diagnostic-Code"] is None


def test_the_whole_message_comes_back() -> None:
    message = made(FAILED, is_full=True)
    returned = list(message.iter_parts())[2]
    assert returned.get_content_type() == "message/rfc822"
    assert returned.get_content().get_content() == "Body\r\n"


def test_international_mail() -> None:
    message = made(
        RecipientReport("ä@x.example", "failed", "550 5.1.1 Nöbody", "mx"),
        original="Subject: Grüße\n\nx".encode(),
    )
    _, status, header = message.iter_parts()
    assert status.get_content_type() == "message/global-delivery-status"
    assert header.get_content_type() == "message/global-headers"
    assert header["Content-Transfer-Encoding"] == "8bit"


def test_nothing_breaks_out_of_its_field() -> None:
    message = made(RecipientReport("b@x.example", "failed", "550 5.0.0 a\r\nAction: x", "mx\r\ny"))
    (_, recipient) = list(message.iter_parts())[1].get_payload()
    assert recipient["Action"] == "failed"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.0.0 a Action: x"


def test_a_header_that_was_cut() -> None:
    message = made(FAILED, original=b"Subject: x\r\nTo: somebo")
    assert list(message.iter_parts())[2].get_content().strip() == "Subject: x"


def test_it_is_a_message_to_us_too() -> None:
    raw = made(FAILED).as_bytes()
    assert [part.type for part in scan(raw).sub_parts or ()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]


def test_long_replies_in_any_letters() -> None:
    """RFC 5322 §2.1.1; RFC 3464 §2.1: the status in ASCII, though words need not be."""
    said = "550 5.7.1 " + "Nöbody " * 60 + "x" * 500
    report = RecipientReport("b@x.example", "failed", said[:1_000], "mx.example")
    message = made(report, original=b"Subject: x\r\n\r\n")
    assert max(map(len, message.as_bytes().splitlines())) <= 998
    words, status, _ = message.iter_parts()
    assert "Nöbody Nöbody" in words.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert status["Content-Transfer-Encoding"] == "7bit"
    code = " ".join(status.get_payload()[1]["Diagnostic-Code"].split())
    assert code.startswith("smtp; 550 5.7.1 N?body N?body N?body")


def test_the_original_recipient_in_utf_8() -> None:
    """RFC 6533 §4: as itself in international reports, else in ASCII."""
    for address, told in (("b@x.example", r"zo\x{EB}@x.example"), ("ä@x.example", "zoë@x.example")):
        report = RecipientReport(address, "failed", "550 5.0.0 No", "", r"utf-8;zo\x{EB}@x.example")
        status = list(made(report).iter_parts())[1]
        assert f"Original-Recipient: utf-8;{told}" in status.as_bytes().decode()

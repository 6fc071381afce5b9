"""Reports of others as they are written, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.mime.dsn import RecipientReport, delivery_status_notification
from mailhive.mime.report import (
    MAX_RECIPIENTS,
    DispositionReport,
    RecipientStatus,
    delivery_report,
    disposition_report,
    report_parts,
)
from mailhive.mime.scan import scan

# As in the examples of RFC 3464 §A.1 and §A.3: comments, folds, fields of several dialects.
SIMPLE = b"""Reporting-MTA: dns; cs.utk.edu

Original-Recipient: rfc822;louisl@larry.slip.umd.edu
Final-Recipient: rfc822;louisl@larry.slip.umd.edu
Action: failed
Status: 4.0.0
Diagnostic-Code: smtp; 426 connection timed out
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400
"""
RELAYED = b"""Original-Envelope-Id: <QQ314159 (no comment)
Reporting-MTA: dns; mx.example\r
\r
\t\r
Final-Recipient: RFC822; <Zoe@far.example>
Action: Relayed (to a system that may not report)
Status: 2.0.0 (fine)

Original-Recipient: utf-8; zo\\x{EB}@far.example
Final-Recipient: utf-8; other@far.example
Action: failed
Status: none
Diagnostic-Code: smtp; 550-5.1.1 Nobody
 here 550 5.1.1 sorry

Final-Recipient: rfc822; x@y.example
Action: wondered

Action: failed
"""


def test_what_servers_write() -> None:
    report = delivery_report(SIMPLE, b"From: a@b\nMessage-ID: <1@x>\n\nMessage-ID: <2@x>\n")
    assert (report.envelope_id, report.message_id) == (None, "1@x")
    [recipient] = report.recipients
    assert recipient == RecipientStatus(
        ("louisl@larry.slip.umd.edu",), "failed", "426 4.0.0 connection timed out"
    )
    report = delivery_report(RELAYED, b"")
    assert (report.envelope_id, report.message_id) == ("<QQ314159", None)
    assert report.recipients == (
        RecipientStatus(("Zoe@far.example",), "relayed", "250 2.0.0 Relayed"),
        RecipientStatus(
            ("zoë@far.example", "other@far.example"),
            "failed",
            "550 5.1.1 Nobody here 550 5.1.1 sorry",
        ),
    )


def test_our_own() -> None:
    raw = delivery_status_notification(
        sender="alice@example.org",
        hostname="mx.example.org",
        now=1_700_000_000_000,
        arrived_at=1_690_000_000_000,
        retry_until=1_710_000_000_000,
        envelope_id="a+2Bb",
        recipients=[RecipientReport("zoë@far.example", "failed", "550 5.1.1 No", "mx.far.example")],
        original=b"Subject: x\r\nMessage-ID: <1@example.org>\r\n\r\nx\r\n",
        is_full=False,
    )
    parts = report_parts(scan(raw))
    assert parts is not None and parts.is_delivery and parts.returned is not None
    octets = [raw[p.body_start : p.body_end] for p in (parts.status, parts.returned)]
    report = delivery_report(*octets)
    assert (report.envelope_id, report.message_id) == ("a+b", "1@example.org")
    assert report.recipients == (RecipientStatus(("zoë@far.example",), "failed", "550 5.1.1 No"),)


@pytest.mark.parametrize(
    ("disposition", "is_displayed"),
    [
        ("manual-action/MDN-sent-manually; displayed", True),
        ("automatic-action/MDN-sent-automatically; Displayed/error", True),
        ("manual-action/MDN-sent-manually; deleted", False),
        ("displayed", False),
        ("", False),
    ],
)
def test_what_mail_programs_write(disposition: str, is_displayed: bool) -> None:
    status = (
        "Reporting-UA: pc.cs.example; Foomail 97.1\nOriginal-Recipient: rfc822;Joe@x.example\n"
        "Final-Recipient: rfc822;joe@y.example\nOriginal-Message-ID: <1995@x.example>\n"
        f"Disposition: {disposition}\n"
    )
    assert disposition_report(status.encode()) == DispositionReport(
        "1995@x.example", ("Joe@x.example", "joe@y.example"), is_displayed
    )


@pytest.mark.parametrize(
    "types",
    [
        ("text/plain",),
        ("message/delivery-status",),
        ("text/plain", "text/plain", "message/delivery-status"),
        ("message/delivery-status", "text/plain"),
    ],
)
def test_what_is_no_report(types: tuple[str, ...]) -> None:
    parts = b"".join(b"--b\r\nContent-Type: %b\r\n\r\nx\r\n" % t.encode() for t in types)
    top = b"Content-Type: multipart/%b; boundary=b\r\n\r\n"
    for kind in (b"report", b"mixed"):
        assert report_parts(scan(top % kind + parts + b"--b--\r\n")) is None


def test_a_message_that_is_not_returned_or_is_something_else() -> None:
    top = b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n"
    status = b"--b\r\nContent-Type: message/delivery-status\r\n\r\nx\r\n"
    for more in (b"", b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n"):
        parts = report_parts(scan(top + status + more + b"--b--\r\n"))
        assert parts is not None and parts.returned is None


def test_recipients_have_a_limit() -> None:
    group = b"\nFinal-Recipient: rfc822; x@y.example\nAction: failed\n"
    report = delivery_report(b"Reporting-MTA: dns; x\n" + group * 3_000, b"")
    assert len(report.recipients) == MAX_RECIPIENTS


@given(st.lists(st.sampled_from([*SIMPLE.splitlines(True), *RELAYED.splitlines(True), b"\xff\0"])))
def test_any_lines(lines: list[bytes]) -> None:
    octets = b"".join(lines)
    for recipient in delivery_report(octets, octets).recipients:
        code, enhanced, _ = recipient.reply.split(" ", 2)
        assert code.isdecimal() and enhanced.count(".") == 2
        assert recipient.addresses and "\n" not in recipient.reply
    disposition_report(octets)


@given(st.binary())
def test_any_octets(octets: bytes) -> None:
    delivery_report(octets, octets)
    disposition_report(octets)

"""Trace header fields, and what is looked for in those that a message brings."""

from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.envelope import Envelope
from mailhive.smtp.events import MessageStart
from mailhive.smtp.trace import TraceFilter, address_literal, trace_header


def header(*recipients: str, mail_from: str = "a@c.example") -> bytes:
    start = MessageStart(Envelope(mail_from, recipients), "c.example", "ESMTPS")
    return trace_header(
        start, peer="[192.0.2.1]", hostname="mx.example", transaction="t1", now=1_700_000_000.5
    )


def test_trace_header_of_one_recipient():
    assert header("b@mx.example") == (
        b"Return-Path: <a@c.example>\r\n"
        b"Received: from c.example ([192.0.2.1])\r\n"
        b"\tby mx.example with ESMTPS id t1\r\n"
        b"\tfor <b@mx.example>; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    )
    received = message_from_bytes(header("b@mx.example"))["Received"]
    assert parsedate_to_datetime(received.rpartition(";")[2]).timestamp() == 1_700_000_000


def test_trace_header_names_no_one_of_several_recipients():
    text = header("b@mx.example", "c@mx.example", mail_from="")
    assert b"for <" not in text
    assert b"id t1; Tue" in text
    assert text.startswith(b"Return-Path: <>\r\n")


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("192.0.2.1", "[192.0.2.1]"),
        ("::ffff:192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
        ("fe80::1%eth0", "[IPv6:fe80::1]"),
        ("", ""),
        ("/run/socket", ""),
    ],
)
def test_address_literal(host, literal):
    assert address_literal(host) == literal


def filtered(*pieces: bytes) -> tuple[bytes, int]:
    trace = TraceFilter()
    return b"".join(map(trace.feed, pieces)) + trace.flush(), trace.received


MESSAGE = (
    b"Return-Path: <old@example>\r\nRETURN-PATH:\r\n <older@example>\r\n\t(folded)\r\n"
    b"Received: one\r\n\tReceived: folded\r\nreceived:two\r\nX-Received: three\r\n"
    b"Subject: Return-Path: x\r\nR\r\n\r\nReturn-Path: kept\r\nReceived: kept\r\n"
)
KEPT = MESSAGE[MESSAGE.index(b"Received: one") :]


def test_filter():
    assert filtered(MESSAGE) == (KEPT, 2)


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"R", b"Return-Path", b"no header", b"\r\nReceived: x\r\n"]
)
def test_filter_leaves_odd_messages_alone(message):
    assert filtered(message) == (message, 0)


@given(st.integers(1, 20), st.integers(0, 20))
def test_filter_does_not_depend_on_pieces(size, first):
    pieces = [MESSAGE[:first]]
    pieces += [MESSAGE[i : i + size] for i in range(first, len(MESSAGE), size)]
    assert filtered(*pieces) == (KEPT, 2)


def test_filter_keeps_no_more_than_the_beginning_of_a_line():
    trace = TraceFilter()
    for _ in range(100):
        assert trace.feed(b"x" * 1000)
    assert len(trace.flush()) < 16

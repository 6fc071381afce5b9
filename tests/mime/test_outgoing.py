"""What leaves with a message, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.mime.fields import parse_fields
from mailhive.mime.outgoing import outgoing

ADDED = (b"Received: r\r\n", b"Date: d\r\n", b"Message-ID: <m>\r\n")
WHOLE = b"From: a@b\r\nDate: then\r\nMessage-ID: <1@b>\r\n"


@pytest.mark.parametrize(
    "private",
    [
        b"Bcc: x@y\r\n",
        b"BCC : x@y,\r\n z@y\r\n\tw@y\r\n",
        b"bcc:\r\n",
        b"Resent-Bcc: x@y\r\n",
        b"Return-Path: <x@y>\r\n",
        b"Bcc: x@y\nbcc: z@y\n",
        b"Bcc: x@y\r\r\n z@y\r\n",
    ],
)
@pytest.mark.parametrize("tail", [b"\r\nbcc: this is text\r\n", b""])
def test_private_fields_go(private: bytes, tail: bytes) -> None:
    for whole in (private + WHOLE, WHOLE + private):
        assert outgoing(whole + tail, *ADDED) == ADDED[0] + WHOLE + tail


def test_a_field_without_a_line_end_goes() -> None:
    assert outgoing(WHOLE + b"Bcc: x@y", *ADDED) == ADDED[0] + WHOLE


def test_lines_that_end_in_cr_alone() -> None:
    raw = b"From: a@b\rBcc: x@y,\r z@y\rDate: d\rMessage-ID: <1@b>\r\rbody"
    assert outgoing(raw, *ADDED) == ADDED[0] + b"From: a@b\rDate: d\rMessage-ID: <1@b>\r\rbody"


def test_similar_names_stay() -> None:
    raw = WHOLE + b"X-Bcc: x\r\nBcc-Info: y\r\nSubject: a\r\n Bcc: folded\r\n\r\n"
    assert outgoing(raw, *ADDED) == ADDED[0] + raw


def test_what_is_missing_is_added() -> None:
    raw = b"From: a@b\r\n\r\nDate: text\r\n"
    assert outgoing(raw, *ADDED) == b"".join(ADDED) + raw


@given(
    st.lists(
        st.sampled_from(
            [
                b"Bcc",
                b"bcc:",
                b" ",
                b"\t",
                b"\r",
                b"\n",
                b"\r\n",
                b"To: x",
                b"x",
                b":",
                b"\0",
                b"\xff",
            ]
        )
    )
)
def test_there_is_never_a_bcc(pieces: list[bytes]) -> None:
    sent = outgoing(b"".join(pieces), *ADDED)
    assert sent.startswith(ADDED[0])
    header = sent.partition(b"\r\n\r\n")[0].partition(b"\n\n")[0]
    assert not any(name.lower() == "bcc" for name, _ in parse_fields(header))

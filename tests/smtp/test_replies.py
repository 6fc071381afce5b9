"""Replies on the wire."""

from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp import replies
from mailhive.smtp.replies import Fault, SmtpReply, server_error


def test_one_line():
    assert SmtpReply(250, "2.0.0", "OK").to_bytes() == b"250 2.0.0 OK\r\n"
    assert SmtpReply(354, None, "Go on").to_bytes() == b"354 Go on\r\n"


def test_every_line_has_code_and_status():
    wire = SmtpReply(550, "5.7.1", "No\nNever").to_bytes()
    assert wire == b"550-5.7.1 No\r\n550 5.7.1 Never\r\n"


def test_what_the_log_is_told_is_not_sent():
    reply = server_error("disk /var/x is full")
    assert reply.whose_fault is Fault.SERVER
    assert b"disk" not in reply.to_bytes()


@given(st.text())
def test_any_text_makes_a_well_formed_reply(text):
    lines = SmtpReply(550, "5.0.0", text).to_bytes().split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith((b"550-5.0.0 ", b"550 5.0.0 ")) for line in lines)
    assert all(len(line) <= 510 and line.isascii() and b"\r" not in line for line in lines)


def test_classes_agree():
    """RFC 3463 §2: the class of the status is the first digit of the code."""
    for reply in vars(replies).values():
        if isinstance(reply, SmtpReply) and reply.enhanced:
            assert reply.enhanced[0] == str(reply.code)[0]

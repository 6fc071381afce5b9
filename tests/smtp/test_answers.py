import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.answers import BadReply, ReplyReader, outcome_of
from mailhive.smtp.replies import SmtpReply


def test_a_reply_of_one_line() -> None:
    assert ReplyReader().receive(b"250 2.1.5 Fine\r\n") == [SmtpReply(250, "2.1.5", "Fine")]
    assert ReplyReader().receive(b"220 x ESMTP\r\n") == [SmtpReply(220, None, "x ESMTP")]
    assert ReplyReader().receive(b"250\r\n250 \r\n250 ok\n") == [
        SmtpReply(250, None, ""),
        SmtpReply(250, None, ""),
        SmtpReply(250, None, "ok"),
    ]


def test_a_reply_of_several_lines() -> None:
    (reply,) = ReplyReader().receive(b"550-5.7.1 No,\r\n550-5.7.1 not you\r\n550 5.7.1 ever\r\n")
    assert reply == SmtpReply(550, "5.7.1", "No,\nnot you\never")
    # RFC 8621 §7: they are told as one.
    assert outcome_of("a@example.org", reply).text == "No, not you ever"


def test_a_status_of_another_class_is_text() -> None:
    assert ReplyReader().receive(b"250 5.1.1 Hm\r\n") == [SmtpReply(250, None, "Hm")]


@pytest.mark.parametrize("line", [b"hello\r\n", b"999 x\r\n", b"25 x\r\n", b"250x\r\n", b"\r\n"])
def test_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(BadReply):
        ReplyReader().receive(line)


def test_limits() -> None:
    with pytest.raises(BadReply):
        ReplyReader().receive(b"250 " + b"x" * 5000)
    with pytest.raises(BadReply):
        ReplyReader().receive(b"250-x\r\n" * 300)
    with pytest.raises(BadReply):
        ReplyReader().receive((b"250-" + b"x" * 4_000 + b"\r\n") * 5)
    assert len(ReplyReader().receive((b"250-" + b"x" * 4_000 + b"\r\n250 x\r\n") * 9)) == 9


@given(st.binary(max_size=60), st.integers(1, 7))
def test_how_octets_are_cut_does_not_matter(octets: bytes, size: int) -> None:
    def read(*pieces: bytes) -> object:
        reader, found = ReplyReader(), []
        try:
            for piece in pieces:
                found += reader.receive(piece)
        except BadReply:
            return "bad"
        return found

    octets = b"250-a\r\n250 b\r\n" + octets
    pieces = [octets[i : i + size] for i in range(0, len(octets), size)]
    assert read(octets) == read(*pieces)


def test_outcomes() -> None:
    assert outcome_of("a@b", SmtpReply(250, None, "ok")).enhanced == "2.0.0"
    assert outcome_of("a@b", SmtpReply(354, None, "go")).code == 451

import re

from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.stuffing import DotStuffing
from mailhive.testing.smtp_machine import OPEN, owner


def stuffed(*chunks: bytes) -> bytes:
    stuffing = DotStuffing()
    return b"".join([*map(stuffing.feed, chunks), stuffing.end()])


def test_dots_at_the_beginning_of_lines_are_doubled() -> None:
    assert stuffed(b".a\r\n..b\r\nc.\r\n") == b"..a\r\n...b\r\nc.\r\n.\r\n"
    assert stuffed(b"a\r\n", b".\r", b"\n.b") == b"a\r\n..\r\n..b\r\n.\r\n"


def test_the_last_line_is_ended() -> None:
    assert stuffed() == b".\r\n"
    assert stuffed(b"a") == b"a\r\n.\r\n"
    assert stuffed(b"a\r") == b"a\r\n.\r\n"


def test_bare_line_ends_become_whole() -> None:
    assert stuffed(b"a\n.\nb\rc\r", b"\n\r", b"\r\n") == b"a\r\n..\r\nb\r\nc\r\n\r\n\r\n.\r\n"


PIECES = st.lists(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a"])).map(b"".join))


@given(PIECES)
def test_a_server_reads_what_was_meant(pieces: list[bytes]) -> None:
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", b"".join(pieces))
    if whole and not whole.endswith(b"\r\n"):
        whole += b"\r\n"
    server = owner()
    server.feed(OPEN, b"DATA\r\n", stuffed(*pieces))
    assert [content for _, content, _ in server.messages] == [whole]

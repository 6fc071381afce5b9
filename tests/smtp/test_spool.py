"""Messages that wait."""

from pathlib import Path

import pytest

from mailhive.smtp.spool import Spool


@pytest.mark.parametrize(
    ("message", "header", "body"),
    [
        (b"a: b\r\n\r\nbody\r\n", b"a: b\r\n", b"body\r\n"),
        (b"a: b\r\n\r\n", b"a: b\r\n", b""),
        (b"a: b\r\n", b"a: b\r\n", b""),
        (b"\r\nbody\r\n\r\nmore", b"", b"body\r\n\r\nmore"),
        (b"", b"", b""),
        (b"a: b\r\n\r\n" + b"x" * 700_000, b"a: b\r\n", b"x" * 700_000),
    ],
)
def test_a_message(tmp_path: Path, message: bytes, header: bytes, body: bytes) -> None:
    spool = Spool(tmp_path)
    for start in range(0, len(message), 100_000):
        spool.write(message[start : start + 100_000])
    assert spool.header() == header
    assert spool.body() == body
    assert header + b"".join(spool.rest()) == message
    other = spool.another()
    other.write(b"an")
    other.write(b"other\r\n")
    spool.take_body(other)
    assert b"".join(spool.rest()) == b"\r\nanother\r\n"
    assert spool.body() == b"another\r\n"
    spool.close()


def test_a_header_without_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for _ in range(100):
        spool.write(b"a: " + b"x" * 9_997 + b"\r\n")
    assert spool.header() is None
    spool.close()

"""Messages that wait."""

from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred

from mailhive.smtp.judging.spool import Spool
from mailhive.testing.memory import MemoryBlobStore


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
@ensureDeferred
async def test_a_message(tmp_path: Path, message: bytes, header: bytes, body: bytes) -> None:
    blobs = MemoryBlobStore()
    writer = blobs.open_writer()
    writer.write(b"before: x\r\n")
    spool = Spool(writer, tmp_path)
    for start in range(0, len(message), 100_000):
        spool.write(message[start : start + 100_000])
    assert spool.header() == header
    assert spool.body() == body
    with blobs.hold():
        blob_id = await spool.release(b"new: y\r\n" + header).commit()
        stored = await blobs.read(blob_id)
    assert stored == b"before: x\r\nnew: y\r\n" + message


def test_a_header_without_end(tmp_path: Path) -> None:
    spool = Spool(MemoryBlobStore().open_writer(), tmp_path)
    for _ in range(100):
        spool.write(b"a: " + b"x" * 9_997 + b"\r\n")
    assert spool.header() is None
    spool.abort()

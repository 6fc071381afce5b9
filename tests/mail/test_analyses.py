"""Messages analysed before somebody files them."""

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred

from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.mail.analyses import Analyses
from mailhive.testing.memory import MemoryBlobStore


def message(subject: str, size: int = 0) -> bytes:
    return f"Subject: {subject}\r\n\r\n".encode() + b"x" * size


class Blobs(MemoryBlobStore):
    """Counts what is read."""

    reads = 0

    def read(self, blob_id: str, start: int = 0, length: int | None = None) -> Deferred[bytes]:
        self.reads += 1
        return super().read(blob_id, start, length)

    def written(self, content: bytes) -> Any:
        writer = self.open_writer()
        writer.write(content)
        return writer


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def analyses(blobs: Blobs) -> Analyses:
    return Analyses(blobs, maybeDeferred)


@pytest_twisted.ensureDeferred
async def test_what_was_stored_is_taken_once_without_being_read(
    blobs: Blobs, analyses: Analyses
) -> None:
    content = message("one")
    blob_id = await analyses.store(blobs.written(content))
    email = await analyses.take(blob_id, 5)
    assert blobs.reads == 0
    assert (email.blob_id, email.received_at, email.size) == (blob_id, 5, len(content))
    assert email.search.subject == "one"
    assert await analyses.take(blob_id, 5) == email
    assert blobs.reads == 1


@pytest_twisted.ensureDeferred
async def test_others_are_read(blobs: Blobs, analyses: Analyses) -> None:
    stored = await analyses.store(blobs.written(message("stored")))
    other = await blobs.written(message("other")).commit()
    large = await blobs.written(message("large", 1_500_000)).commit()
    last = await blobs.written(message("last")).commit()
    found = await analyses.take_all([other, "bmissing", stored, large, last], 7)
    assert {i: email.search.subject for i, email in found.items()} == {
        stored: "stored", other: "other", large: "large", last: "last",
    }  # fmt: skip
    assert all(email.received_at == 7 for email in found.values())
    with pytest.raises(BlobNotFound):
        await analyses.take("bmissing", 7)


@pytest_twisted.ensureDeferred
async def test_few_are_kept(blobs: Blobs, analyses: Analyses) -> None:
    stored = [await analyses.store(blobs.written(message(str(n), 1_000_000))) for n in range(9)]
    for blob_id in (*reversed(stored), stored[0]):
        await analyses.take(blob_id, 0)
    assert blobs.reads == 3  # the first two, and once more


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_stored_is_not_kept(blobs: Blobs, analyses: Analyses) -> None:
    blobs.full = True
    writer = blobs.written(message("one"))
    with pytest.raises(TemporaryFailure):
        await analyses.store(writer)
    with pytest.raises(BlobNotFound):
        await analyses.take(writer.blob_id(), 0)


class Thread:
    """An `offload` whose work is done when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []

    def offload(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        turn: Deferred[None] = Deferred()
        self.waiting.append(turn)
        return turn.addCallback(lambda _: function(*arguments))

    def go_on(self) -> None:
        self.waiting.pop(0).callback(None)


@pytest_twisted.ensureDeferred
async def test_those_that_wait_are_analysed_together(blobs: Blobs) -> None:
    thread = Thread()
    analyses = Analyses(blobs, thread.offload)
    stored = [analyses.store(blobs.written(message(str(n)))) for n in range(9)]
    ids = [await each for each in stored]
    taken = ensureDeferred(analyses.take_all(ids, 0))
    for _ in range(2):
        assert len(thread.waiting) == 1
        assert not taken.called
        thread.go_on()
    assert [email.search.subject for email in (await taken).values()] == list("012345678")


@pytest_twisted.ensureDeferred
async def test_few_messages_are_in_memory_at_a_time(blobs: Blobs) -> None:
    thread = Thread()
    analyses = Analyses(blobs, thread.offload)
    ids = [await blobs.written(message(str(n), 2_000_000)).commit() for n in range(9)]
    taken = [ensureDeferred(analyses.take(blob_id, 0)) for blob_id in ids]
    for done, each in enumerate(taken):
        assert (blobs.reads, len(thread.waiting)) == (min(done + 4, 9), min(4, 9 - done))
        thread.go_on()
        await each

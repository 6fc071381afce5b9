"""Providers that keep everything in memory: the interfaces' contracts and no more."""

import hashlib
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from mailhive.blobs.holds import Holds
from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.interfaces.blobs import IBlobStore, IBlobWriter
from mailhive.interfaces.delivery import IDelivery
from mailhive.model.arrival import PLAIN, Arrival
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.principal import Principal

__all__ = ["Delivered", "MemoryBlobStore", "MemoryBlobWriter", "MemoryDelivery", "MemoryReports"]


@define
class _Blob:
    content: bytes
    committed: float


@implementer(IBlobStore)
class MemoryBlobStore:
    """Blobs in a dict.  `full` makes every commit fail, as a full disk does."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._blobs: dict[str, _Blob] = {}
        self._holds = Holds(now)
        self.full = False
        #: Writers that were neither committed nor aborted.
        self.open_writers: set[MemoryBlobWriter] = set()

    def open_writer(self) -> "MemoryBlobWriter":
        writer = MemoryBlobWriter(self)
        self.open_writers.add(writer)
        return writer

    def read(self, blob_id: str, start: int = 0, length: int | None = None) -> Deferred[bytes]:
        blob = self._blobs.get(blob_id)
        if blob is None:
            return fail(BlobNotFound(blob_id))
        end = None if length is None else start + length
        return succeed(blob.content[start:end])

    def size(self, blob_id: str) -> Deferred[int]:
        blob = self._blobs.get(blob_id)
        return fail(BlobNotFound(blob_id)) if blob is None else succeed(len(blob.content))

    def hold(self) -> AbstractContextManager[None]:
        return self._holds.hold()

    def horizon(self, age: float) -> float:
        return self._holds.horizon(age)

    def touch(self, blob_id: str) -> Deferred[None]:
        if blob_id not in self._blobs:
            return fail(BlobNotFound(blob_id))
        self._blobs[blob_id].committed = self._now()
        return succeed(None)

    def delete(self, blob_id: str, before: float | None = None) -> Deferred[bool]:
        blob = self._blobs.get(blob_id)
        if blob is None or (before is not None and blob.committed >= before):
            return succeed(False)
        del self._blobs[blob_id]
        return succeed(True)

    def older_than(
        self, timestamp: float, after: str = "", limit: int = 1000
    ) -> Deferred[list[str]]:
        old = (i for i, blob in self._blobs.items() if blob.committed < timestamp and i > after)
        return succeed(sorted(old)[:limit])

    def _commit(self, content: bytes) -> str:
        blob_id = _id_of(content)
        self._blobs[blob_id] = _Blob(content, self._now())
        return blob_id


def _id_of(content: bytes | bytearray) -> str:
    return "b" + hashlib.sha256(content).hexdigest()


@implementer(IBlobWriter)
class MemoryBlobWriter:
    """Octets that become a blob of its store."""

    def __init__(self, store: MemoryBlobStore) -> None:
        self._store = store
        self._content = bytearray()

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def write(self, data: bytes) -> None:
        self._content += data

    def blob_id(self) -> str:
        return _id_of(self._content)

    def commit(self) -> Deferred[str]:
        self._store.open_writers.discard(self)
        if self._store.full:
            return fail(TemporaryFailure("no space left"))
        return succeed(self._store._commit(bytes(self._content)))

    def abort(self) -> None:
        self._store.open_writers.discard(self)
        self._content.clear()


@define
class MemoryReports:
    """Keeps what senders are to be told: each envelope and the recipients who have the message."""

    told: list[tuple[Envelope, tuple[str, ...]]] = field(factory=list)

    async def delivered(
        self, envelope: Envelope, _: str, outcomes: Iterable[RecipientOutcome]
    ) -> None:
        reached = tuple(outcome.recipient for outcome in outcomes if outcome.code == 250)
        self.told.append((envelope, reached))


@frozen
class Delivered:
    """A message that delivery took."""

    envelope: Envelope
    blob_id: str
    arrival: Arrival


def _lower(addresses: Iterable[str]) -> frozenset[str]:
    return frozenset(address.lower() for address in addresses)


@implementer(IDelivery)
@define
class MemoryDelivery:
    """Takes mail for `addresses`, compared without regard to case.

    `outcomes` overrides what becomes of a recipient, `full` are those without room;
    `available = False` makes every call a temporary failure.  `delivered` lists what at least one
    recipient got.
    """

    addresses: frozenset[str] = field(converter=_lower)
    outcomes: dict[str, RecipientOutcome] = field(factory=dict)
    available: bool = True
    full: frozenset[str] = frozenset()
    delivered: list[Delivered] = field(factory=list)
    sent: list[tuple[str, str]] = field(factory=list)

    def check_recipient(
        self,
        address: str,
        size: int | None = None,  # noqa: ARG002
    ) -> Deferred[RecipientOutcome | None]:
        if not self.available:
            return fail(TemporaryFailure("the directory does not answer"))
        if address in self.full:
            return succeed(RecipientOutcome(address, 452, "4.2.2", "No room"))
        if address.lower() in self.addresses:
            return succeed(None)
        return succeed(RecipientOutcome(address, 550, "5.1.1", "No such recipient here"))

    def keep_sent(self, principal: Principal, blob_id: str) -> Deferred[None]:
        self.sent.append((principal.name, blob_id))
        return succeed(None)

    def deliver(
        self, envelope: Envelope, blob_id: str, arrival: Arrival = PLAIN
    ) -> Deferred[tuple[RecipientOutcome, ...]]:
        if not self.available:
            return fail(TemporaryFailure("the mail store does not answer"))
        outcomes = tuple(self._outcomes(envelope.recipients))
        if any(outcome.code == 250 for outcome in outcomes):
            self.delivered.append(Delivered(envelope, blob_id, arrival))
        return succeed(outcomes)

    def _outcomes(self, recipients: Iterable[str]) -> Iterable[RecipientOutcome]:
        for recipient in recipients:
            if recipient in self.outcomes:
                yield self.outcomes[recipient]
            elif recipient.lower() in self.addresses:
                yield RecipientOutcome(recipient, 250, "2.1.5", "Delivered")
            else:
                yield RecipientOutcome(recipient, 550, "5.1.1", "No such recipient here")

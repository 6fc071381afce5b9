"""Messages analysed while the disk makes them durable, for whoever files them next.

What is delivered is filed at once, and an upload of a message is most often imported by the
next request.  Both can take what was found while they waited for the disk, instead of reading
the message again and waiting for a thread.  A few are kept, and each is taken once; for all
others the message is read.

Threads share one interpreter, so one analyses at a time, all that wait by then.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from mailhive.errors import BlobNotFound
from mailhive.mail.analyse import analyse
from mailhive.mime.charset import USUAL, Charsets
from mailhive.model.email import NewEmail

__all__ = ["Analyses"]

#: Octets of the messages of which is kept what was found, which takes about four times as much.
_KEPT = 8_000_000
#: Octets of a message for which no other one waits, and of those that are read together.
_LARGE = 1_000_000
#: Messages, or groups of small ones, that are read into memory at a time.
_AT_ONCE = 4


@frozen
class _Kept:
    size: int
    found: Deferred[NewEmail]


@define(eq=False)
class Analyses:
    """What `mail.analyse` finds in the messages of a blob store.

    `offload(function, *arguments)` runs something on a thread.
    """

    blob_store: Any  # IBlobStore
    offload: Callable[..., Any]
    charsets: Charsets = USUAL
    _kept: OrderedDict[str, _Kept] = field(init=False, factory=OrderedDict)
    _octets: int = field(init=False, default=0)  # of these
    _waiting: list[tuple[bytes, Deferred[NewEmail]]] = field(init=False, factory=list)
    _analysing: bool = field(init=False, default=False)
    _turns: DeferredSemaphore = field(init=False, factory=lambda: DeferredSemaphore(_AT_ONCE))

    def store(self, writer: Any) -> Deferred[str]:
        """Commit an `IBlobWriter` whose message is going to be filed; fires with the blob id."""
        return Deferred.fromCoroutine(self._store(writer))

    async def _store(self, writer: Any) -> str:
        raw: bytes | None = writer.content
        found = None if raw is None else self._analyse(raw)
        blob_id: str = await writer.commit()
        if raw is not None and found is not None:
            self._drop(blob_id)
            self._kept[blob_id] = _Kept(len(raw), found)
            self._octets += len(raw)
            while self._octets > _KEPT:
                self._drop(next(iter(self._kept)))
        return blob_id

    async def take(self, blob_id: str, received_at: int) -> NewEmail:
        """What is in a message; `BlobNotFound`.  The blob is one that stays meanwhile."""
        found = await self.take_all([blob_id], received_at)
        if not found:
            raise BlobNotFound(blob_id)
        return found[blob_id]

    async def take_all(self, blob_ids: Iterable[str], received_at: int) -> dict[str, NewEmail]:
        """As `take`, of each blob that there is."""
        found: dict[str, NewEmail] = {}
        others = []
        for blob_id in blob_ids:
            kept = self._drop(blob_id)
            if kept is None:
                others.append(blob_id)
            else:
                found[blob_id] = await kept.found
        while others:
            async with self._turns:
                found.update(await self._read_some(others))
        return {
            blob_id: evolve(email, blob_id=blob_id, received_at=received_at)
            for blob_id, email in found.items()
        }

    async def _read_some(self, blob_ids: list[str]) -> dict[str, NewEmail]:
        """Of the first of `blob_ids`, which are taken off the list."""
        octets = 0
        pending: dict[str, Deferred[NewEmail]] = {}
        while blob_ids and octets < _LARGE:
            blob_id = blob_ids.pop(0)
            try:
                raw: bytes = await self.blob_store.read(blob_id)
            except BlobNotFound:
                continue
            octets += len(raw)
            pending[blob_id] = self._analyse(raw)
        return {blob_id: await found for blob_id, found in pending.items()}

    def _drop(self, blob_id: str) -> _Kept | None:
        kept = self._kept.pop(blob_id, None)
        if kept is not None:
            self._octets -= kept.size
        return kept

    def _analyse(self, raw: bytes) -> Deferred[NewEmail]:
        if len(raw) > _LARGE:
            alone: Deferred[NewEmail] = self.offload(analyse, raw, "", 0, self.charsets)
            return alone
        found: Deferred[NewEmail] = Deferred()
        self._waiting.append((raw, found))
        self._go_on()
        return found

    def _go_on(self) -> None:
        if self._waiting and not self._analysing:
            self._analysing = True
            waiting, self._waiting = self._waiting, []
            done = self.offload(_analyse_each, [raw for raw, _ in waiting], self.charsets)
            done.addBoth(self._analysed, [found for _, found in waiting])

    def _analysed(
        self, emails: list[NewEmail | Failure] | Failure, waiting: list[Deferred[NewEmail]]
    ) -> None:
        self._analysing = False
        self._go_on()
        if isinstance(emails, Failure):
            emails = [emails] * len(waiting)
        for found, email in zip(waiting, emails, strict=True):
            found.callback(email)


def _analyse_each(messages: Sequence[bytes], charsets: Charsets) -> list[NewEmail | Failure]:
    emails: list[NewEmail | Failure] = []
    for raw in messages:
        try:
            emails.append(analyse(raw, "", 0, charsets))
        except Exception:
            emails.append(Failure())
    return emails

"""Expiring what is kept for a while, and deleting the blobs that nothing refers to any more.

A round goes through the old blobs of the blob store in the order of their ids, a
stretch at a time.  It takes a horizon, lists the blobs of the stretch older than
that, crosses off those that any account or any other `Referrer` names, and deletes
the rest, each under the condition that nobody has committed or touched it since
(`mailhive.blobs.holds`).  When one account cannot be asked, the round ends there.

Nothing is kept of a round: the next one, also after a restart, begins anew.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailhive.errors import BlobNotFound, MailhiveError, NotFound

__all__ = ["Collected", "Collector", "Expiry", "Referrer"]

#: Blobs whose references are looked for at once: some megabytes of ids.
_STRETCH = 20_000
#: Ids read at once, and blobs deleted at once.
_PAGE = 500
_DELETIONS = 50
#: Seconds between two of these, so that other work goes before.
_PAUSE = 0.02
#: Seconds from the start of the daemon to the first round, at most.
_FIRST = 300.0


class Referrer(Protocol):
    """Something besides accounts that refers to blobs, such as a queue."""

    def blob_ids(self, after: str, until: str, limit: int) -> Awaitable[Sequence[str]]:
        """The ids it refers to, as `IMailReader.blob_ids` gives those of an account."""


class Expiry(Protocol):
    """Something in accounts that is not kept for ever."""

    def expire(self, account_id: str, now: float) -> Awaitable[int]:
        """Destroy what has had its time; how much that was.  `NotFound` without the account."""


@frozen
class Collected:
    """What a round has done."""

    uploads: int  # forgotten
    blobs: int  # deleted
    octets: int  # of these blobs
    expired: int = 0  # other objects of accounts that had their time


@define(eq=False)
class Collector(Service):
    """Collects every `interval` seconds while it runs.

    Uploads are forgotten after `upload_life` seconds, other things as `expiries` say.
    Blobs are looked at that were last wanted `age` seconds ago.
    """

    store: Any  # IMailStore
    blobs: Any  # IBlobStore
    clock: Any  # IReactorTime
    interval: float
    upload_life: float
    age: float
    referrers: tuple[Referrer, ...] = ()
    expiries: tuple[Expiry, ...] = ()
    pause: float = _PAUSE
    _run: Deferred[None] | None = field(default=None, init=False)
    _sleeping: Deferred[None] | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)
    _log = Logger()

    # IService

    def startService(self) -> None:
        super().startService()
        self._stopping = False
        self._run = Deferred.fromCoroutine(self._collect_again_and_again())
        self._run.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stopService(self) -> Deferred[None] | None:
        """Stop after the step that is under way; the Deferred fires then."""
        super().stopService()
        self._stopping = True
        if self._sleeping is not None:
            self._sleeping.cancel()
        return self._run

    async def _collect_again_and_again(self) -> None:
        await self._sleep(min(self.interval, _FIRST))
        while True:
            began = self.clock.seconds()
            try:
                done = await self.collect()
            except CancelledError:
                raise
            except MailhiveError as error:
                self._log.warn("Collecting blobs is put off: {reason}", reason=str(error))
            except Exception:  # the next round may be luckier
                self._log.failure("Collecting blobs failed")
            else:
                self._log.info(
                    "Collected {blobs} blobs of {octets} octets that nothing referred to; "
                    "forgot {uploads} uploads, destroyed {expired} old objects",
                    blobs=done.blobs,
                    octets=done.octets,
                    uploads=done.uploads,
                    expired=done.expired,
                    seconds=round(self.clock.seconds() - began, 3),
                )
            await self._sleep(self.interval)

    async def _sleep(self, seconds: float) -> None:
        """Let others go on; `CancelledError` when the service stops."""
        if self._stopping:
            raise CancelledError
        self._sleeping = deferLater(self.clock, seconds)
        await self._sleeping

    # A round

    async def collect(self) -> Collected:
        """One round; `TemporaryFailure` when a store cannot answer now."""
        uploads = await self._expire_uploads()
        expired = await self._expire_others()
        blobs = octets = 0
        after = ""
        while True:
            horizon = self.blobs.horizon(self.age)
            stretch = await self._old_blobs(horizon, after)
            if not stretch:
                return Collected(uploads, blobs, octets, expired)
            unwanted = dict.fromkeys(stretch)
            for blob_ids in await self._referrers():
                await self._cross_off(unwanted, blob_ids, after, stretch[-1])
            for size in await self._delete(list(unwanted), horizon):
                blobs += 1
                octets += size
            after = stretch[-1]

    async def _expire_uploads(self) -> int:
        before = self.clock.seconds() - self.upload_life
        forgotten = 0
        for account_id in (await self.store.accounts()).values():
            try:
                oldest = await self.store.read(account_id, lambda reader: reader.oldest_upload())
                if oldest is not None and oldest < before:
                    forgotten += len(await self.store.write(account_id, _expire_uploads, before))
            except NotFound:  # deleted meanwhile
                continue
            await self._sleep(self.pause)
        return forgotten

    async def _expire_others(self) -> int:
        expired = 0
        for expiry in self.expiries:
            for account_id in (await self.store.accounts()).values():
                with suppress(NotFound):  # deleted meanwhile
                    expired += await expiry.expire(account_id, self.clock.seconds())
                await self._sleep(self.pause)
        return expired

    async def _old_blobs(self, horizon: float, after: str) -> list[str]:
        stretch: list[str] = []
        while len(stretch) < _STRETCH:
            page = await self.blobs.older_than(horizon, after, _PAGE)
            stretch += page
            if len(page) < _PAGE:
                break
            after = page[-1]
            await self._sleep(self.pause)
        return stretch

    async def _referrers(self) -> list[Callable[[str, str, int], Awaitable[Sequence[str]]]]:
        """`blob_ids` of all there are since the horizon was taken."""
        accounts = await self.store.accounts()
        return [
            *(referrer.blob_ids for referrer in self.referrers),
            *(self._of_account(account_id) for account_id in accounts.values()),
        ]

    def _of_account(self, account_id: str) -> Callable[[str, str, int], Awaitable[Sequence[str]]]:
        async def blob_ids(after: str, until: str, limit: int) -> Sequence[str]:
            try:
                found: Sequence[str] = await self.store.read(
                    account_id, lambda reader: reader.blob_ids(after, until, limit)
                )
            except NotFound:  # deleted meanwhile, and its references with it
                return ()
            return found

        return blob_ids

    async def _cross_off(
        self,
        unwanted: dict[str, None],
        blob_ids: Callable[[str, str, int], Awaitable[Sequence[str]]],
        after: str,
        until: str,
    ) -> None:
        while unwanted:
            page = await blob_ids(after, until, _PAGE)
            for blob_id in page:
                unwanted.pop(blob_id, None)
            await self._sleep(self.pause)
            if len(page) < _PAGE:
                return
            after = page[-1]

    async def _delete(self, unwanted: list[str], horizon: float) -> list[int]:
        """Delete what is still old; the sizes of those that were deleted."""
        sizes = []
        while unwanted:
            some, unwanted = unwanted[:_DELETIONS], unwanted[_DELETIONS:]
            octets = [await self._size(blob_id) for blob_id in some]
            outcomes = await DeferredList(
                [self.blobs.delete(blob_id, horizon) for blob_id in some], consumeErrors=True
            )
            for size, (succeeded, outcome) in zip(octets, outcomes, strict=True):
                if not succeeded:
                    outcome.raiseException()
                if outcome:
                    sizes.append(size)
            await self._sleep(self.pause)
        return sizes

    async def _size(self, blob_id: str) -> int:
        try:
            size: int = await self.blobs.size(blob_id)
        except BlobNotFound:
            return 0
        return size


def _expire_uploads(writer: Any, before: float) -> Sequence[str]:
    expired: Sequence[str] = writer.expire_uploads(before)
    return expired

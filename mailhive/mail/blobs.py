"""Blobs as an account sees them: only its own, and slices of them (RFC 8620 §6)."""

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.mime.transfer import apply_slices
from mailhive.model.blobid import BlobSlice, split_blob_id

__all__ = ["Blob", "BlobAccess"]

#: Octets of a slice that are held while it is made a blob of its own.
_CHUNK = 1_000_000


@frozen
class Blob:
    """A readable blob: `size` octets, read in ranges without holding all of it.

    A slice that is transfer-encoded is decoded as a whole when it is opened, as
    a range of it cannot be found otherwise; `_data` then holds it.
    """

    id: str
    size: int
    _store: Any
    _base: str
    _start: int
    _data: bytes | None = None

    async def read(self, start: int = 0, length: int | None = None) -> bytes:
        """The octets `[start, start+length)`, cut at the end."""
        end = self.size if length is None else min(self.size, start + length)
        if start >= end:
            return b""
        if self._data is not None:
            return self._data[start:end]
        return await self._store.read(self._base, self._start + start, end - start)


@frozen
class BlobAccess:
    """Opens blobs on behalf of an account.

    Whoever may read a message may read every slice of it.  A blob is an account's
    own while an Email refers to it; what is only an upload is its uploader's, the
    `user` of each method (RFC 8620 §6.1).
    """

    blob_store: Any  # IBlobStore
    mail_store: Any  # IMailStore
    offload: Any

    async def open(self, account_id: str, user: str, blob_id: str) -> Blob:
        """The blob, or `BlobNotFound` if the account has none of that id."""
        base, slices = split_blob_id(blob_id)
        if not await self.mail_store.read(account_id, lambda r: r.has_blob(base, user)):
            raise BlobNotFound(blob_id)
        size = await self.blob_store.size(base)
        start, encoded = _plain_prefix(size, slices, blob_id)
        if not encoded:
            length = slices[-1].length if slices else size
            return Blob(blob_id, length, self.blob_store, base, start)
        first, *rest = encoded
        raw = await self.blob_store.read(base, start + first.start, first.length)
        whole = (BlobSlice(0, len(raw), first.encoding), *rest)
        data = await self.offload(apply_slices, raw, whole)
        return Blob(blob_id, len(data), self.blob_store, base, 0, data)

    async def read(self, account_id: str, user: str, blob_id: str) -> bytes:
        """All octets of a blob."""
        return await (await self.open(account_id, user, blob_id)).read()

    async def keep(self, account_id: str, user: str, blob_id: str) -> None:
        """Make a stored blob stay that a reference is going to be added to.

        To be called in a hold (`IBlobStore`).  `BlobNotFound` if the account has
        no such blob, or only a slice of one.
        """
        if not await self.mail_store.read(account_id, lambda r: r.has_blob(blob_id, user)):
            raise BlobNotFound(blob_id)
        await self.blob_store.touch(blob_id)

    async def keep_all(self, account_id: str, user: str, blob_ids: Iterable[str]) -> frozenset[str]:
        """As `keep`, for several at a time; those that there are."""
        wanted = tuple(dict.fromkeys(blob_ids))

        def has(reader: Any) -> list[str]:
            return [blob_id for blob_id in wanted if reader.has_blob(blob_id, user)]

        found: list[str] = await self.mail_store.read(account_id, has)
        touching = [(blob_id, self.blob_store.touch(blob_id)) for blob_id in found]
        kept = set()
        failed = None
        for blob_id, touched in touching:  # all of them, so that no failure is left over
            try:
                await touched
                kept.add(blob_id)
            except BlobNotFound:
                pass
            except TemporaryFailure as error:
                failed = error
        if failed is not None:
            raise failed
        return frozenset(kept)

    async def keep_octets(self, account_id: str, user: str, blob: Blob) -> str:
        """Make the octets of a blob of the account stay; the id of the stored blob they are in.

        As `keep`, but a slice becomes a blob of its own.
        """
        if not split_blob_id(blob.id)[1]:
            await self.keep(account_id, user, blob.id)
            return blob.id
        writer = self.blob_store.open_writer()
        try:
            for start in range(0, blob.size, _CHUNK):
                writer.write(await blob.read(start, _CHUNK))
        except BaseException:
            writer.abort()
            raise
        stored: str = await writer.commit()
        return stored


def _plain_prefix(
    size: int, slices: tuple[BlobSlice, ...], blob_id: str
) -> tuple[int, tuple[BlobSlice, ...]]:
    """Where the slices that need no decoding lead, and the slices left after them."""
    start = 0
    for index, part in enumerate(slices):
        if part.start + part.length > size:
            raise BlobNotFound(blob_id)
        if part.encoding != "n":
            return start, slices[index:]
        start += part.start
        size = part.length
    return start, ()

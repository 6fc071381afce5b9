"""A blob of the file-based store while it is being written."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.blobs.engine import Put
from mailhive.blobs.names import id_of
from mailhive.blobs.spool import Spool, SpoolDirectory
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.blobs import IBlobWriter

__all__ = ["FsBlobWriter"]

_IN_MEMORY = 128 * 1024  # octets


@implementer(IBlobWriter)
class FsBlobWriter:
    """Hashes on the way; what is longer than a small buffer goes to a temporary file.

    `submit(put)` returns a Deferred that fires once the `Put` is done; `sync(spool)`
    one that fires once the spool is durable.
    """

    def __init__(
        self,
        spools: SpoolDirectory,
        largest_packed: int,
        clock: Callable[[], float],
        sync: Callable[[Spool], Deferred[None]],
        submit: Callable[[Put], Deferred[bool]],
    ):
        self.size = 0
        self._spools = spools
        self._largest_packed = largest_packed
        self._clock = clock
        self._sync = sync
        self._submit = submit
        self._hash = sha256()
        self._parts: list[bytes] = []
        self._spool: Spool | None = None
        self._broken = False

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)
        if self._spool is None:
            self._parts.append(bytes(data))
            if self.size <= _IN_MEMORY:
                return
        try:
            if self._spool is None:
                self._spool = self._spools.new()
                data, self._parts = b"".join(self._parts), []
            self._spool.write(data)
        except OSError as error:
            self.abort()
            raise TemporaryFailure(f"a blob cannot be stored: {error}") from error

    @property
    def content(self) -> bytes | None:
        if self._spool is not None or self._broken:
            return None
        self._parts = [b"".join(self._parts)]
        return self._parts[0]

    def blob_id(self) -> str:
        return id_of(self._hash.digest())

    def commit(self) -> Deferred[str]:
        if self._broken:
            return fail(TemporaryFailure("writing this blob has failed"))
        digest = self._hash.digest()
        spool, self._spool = self._spool, None
        now = self._clock()
        if spool is None:
            body = b"".join(self._parts)
            done = self._submit(Put(digest, self.size, now, body=body))
        elif self.size <= self._largest_packed:
            done = self._submit(Put(digest, self.size, now, spool=spool))
        else:
            put = Put(digest, self.size, now, spool=spool, own_file=True)
            done = self._sync(spool).addCallback(lambda _: self._submit(put))
        if spool is not None:
            done.addBoth(_close, spool)
        return done.addCallback(lambda _: id_of(digest))

    def abort(self) -> None:
        self._broken = True
        self._parts = []
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _close(result: Any, spool: Spool) -> Failure | None:
    spool.close()
    return result if isinstance(result, Failure) else None

"""Blob store: immutable byte strings, named by their content."""

from zope.interface import Attribute, Interface

__all__ = ["IBlobStore", "IBlobWriter"]


class IBlobWriter(Interface):
    """A blob being written.  Used from the reactor thread only.

    Exactly one of `commit` and `abort` ends it; both free what it held, and
    after either no other call is made.  A writer that is dropped without them
    leaves nothing behind once the process ends.
    """

    size = Attribute("Octets written so far (int).")
    content = Attribute("These octets, if they are few and all in memory; else None.")

    def write(data: bytes) -> None:
        """Append `data`.  Never waits for the disk to be durable.

        Memory held is bounded: what goes beyond a small buffer is spooled.
        """

    def blob_id() -> str:
        """The id that the blob of what was written so far has, or would have."""

    def commit():
        """Make the blob durable.

        Returns a Deferred that fires with the blob id once a crash or power
        loss can no longer lose the blob.  Commits in flight share their syncs.
        The id is a function of the content alone: the same octets get the same
        id and are stored once.  A failure leaves nothing stored and is a
        `TemporaryFailure`.
        """

    def abort() -> None:
        """Forget everything written.  Idempotent; safe after a failed write."""


class IBlobStore(Interface):
    """Where the octets of messages and uploads live.

    The store knows nothing of accounts: who may read a blob is decided by the
    mail store's references.  Ids are of the `Id` type of RFC 8620 §1.2, start
    with a letter and contain no `_`, which separates the slice that a part's
    blob id names (`mailhive.model.blobid`).

    **References.**  A blob that nothing refers to is deleted in the end.  So that
    none is deleted that is about to be referred to, whoever adds a reference,
    such as an Email, an upload or an entry of a queue, begins a `hold`, commits or
    touches the blob, and ends the hold when the reference is durable.  Whoever
    deletes takes a `horizon`, then looks for references, and deletes only what
    is older.  `mailhive.blobs.holds` says why that is enough.
    """

    def open_writer():
        """Return a new `IBlobWriter`."""

    def read(blob_id: str, start: int = 0, length: int | None = None):
        """Return a Deferred of the octets `[start, start+length)`, to the end for None.

        A range that reaches beyond the end is cut there.  Fires with
        `BlobNotFound` for an unknown id.  Small reads may fire at once.
        """

    def size(blob_id: str):
        """Return a Deferred of the size in octets; `BlobNotFound` if unknown."""

    def hold():
        """A context manager: what is committed or touched in it outlasts it.

        It ends when the references are durable, soon: as long as a hold lasts,
        nothing younger than its beginning is deleted for want of references.
        """

    def horizon(age: float) -> float:
        """The time before which a blob is old enough to be judged by its references.

        That is `age` seconds ago, or the beginning of the oldest hold.
        """

    def touch(blob_id: str):
        """Make a blob as young as if it were committed now.

        Returns a Deferred that fires when that is so; `BlobNotFound` if unknown.
        """

    def delete(blob_id: str, before: float | None = None):
        """Forget a blob; with `before` only if it was last committed or touched earlier.

        Returns a Deferred that fires when that is settled: with True if the blob
        was forgotten, with False if it is unknown or too young.
        """

    def older_than(timestamp: float, after: str = "", limit: int = 1000):
        """Return a Deferred of ids last committed or touched before `timestamp`.

        At most `limit` in ascending order, from the first on or those greater
        than the id `after`.
        """

"""Holds: who is about to refer to blobs, so that none is deleted under their hands.

The rule for whoever adds a reference: begin a hold, then commit or touch the
blob, make the reference durable, end the hold.  The rule for whoever deletes what
nothing refers to: take a horizon, then look for references, and delete only
blobs last committed or touched before the horizon (`IBlobStore.delete`).

Say somebody has touched a blob at a time t, in a hold that began before it, and a
collector deletes the blob with a horizon h.  Then t < h, so the hold was over when
the horizon was taken, and the reference durable before the collector looked: it
saw it.  Or the deletion came before the touch, which then found no blob.

Another worker of the daemon tells when its oldest hold began along with everything
that it commits or touches, in one message (`remote`).  The time t is then that at which
the message came, so a horizon that was taken before it is before t, and one that is
taken after it knows of the hold.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

__all__ = ["Holds"]


@define
class Holds:
    """The holds of one process on a blob store whose `clock` this is, in seconds."""

    clock: Callable[[], float]
    _begun: dict[object, float] = field(factory=dict)
    _elsewhere: dict[object, float] = field(factory=dict)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """As `IBlobStore` has it."""
        token = object()
        self._begun[token] = self.clock()
        try:
            yield
        finally:
            del self._begun[token]

    @property
    def oldest(self) -> float | None:
        """When the oldest of this process has begun; None if there is none."""
        return min(self._begun.values(), default=None)

    def note(self, process: object, oldest: float | None) -> None:
        """Say when the oldest hold of another process has begun."""
        if oldest is None:
            self._elsewhere.pop(process, None)
        else:
            self._elsewhere[process] = oldest

    def horizon(self, age: float) -> float:
        """As `IBlobStore` has it."""
        now = self.clock()
        return min((now - age, *self._begun.values(), *self._elsewhere.values()))

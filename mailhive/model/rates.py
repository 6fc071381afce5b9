"""How often something may be done: token buckets."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from attrs import field, frozen

__all__ = ["Buckets", "Rate"]

_MOST_KEYS = 10_000
#: Seconds by which clocks and divisions are off.
_ROUNDING = 1e-6


@frozen
class Rate:
    """So many in so many seconds; all of them may come at once."""

    count: int
    seconds: float


@frozen(eq=False)
class Buckets:
    """A bucket for each key, full at first; `clock()` is the time in seconds.

    Memory is bounded: of more than `most` keys the one is forgotten that was taken from
    longest ago, as if its bucket were full.  Several processes `tell` each other what was
    taken, who `hear` it.
    """

    rate: Rate
    clock: Callable[[], float]
    most: int = _MOST_KEYS
    tell: Callable[[Hashable, int], object] = field(default=lambda _key, _count: None)
    #: When the bucket of a key will be full again.
    _full: OrderedDict[Hashable, float] = field(init=False, factory=OrderedDict)

    def wait(self, key: Hashable, count: int = 1) -> float:
        """Seconds until so many can be taken; 0.0 if they can now, infinity if never."""
        if count > self.rate.count:
            return float("inf")
        after = self._after(key, count) - self.clock() - self.rate.seconds
        return after if after > _ROUNDING else 0.0

    def take(self, key: Hashable, count: int = 1) -> float:
        """Take so many, if they are there; the same as `wait`."""
        wait = self.wait(key, count)
        if not wait:
            self.hear(key, count)
            self.tell(key, count)
        return wait

    def hear(self, key: Hashable, count: int) -> None:
        """Take what another process has taken, and all there is if that is less."""
        self._full[key] = self._after(key, count)
        self._full.move_to_end(key)
        if len(self._full) > self.most:
            self._full.popitem(last=False)

    def _after(self, key: Hashable, count: int) -> float:
        """When the bucket is full again once they are taken."""
        now = self.clock()
        full = self._full.get(key, now)
        if full > now + self.rate.seconds + _ROUNDING:  # the clock was put back
            full = self._full[key] = now + self.rate.seconds
        return max(full, now) + count * self.rate.seconds / self.rate.count

"""When deliveries to destinations may begin, for those that take so many in a while."""

from collections.abc import Callable, Mapping

from attrs import define, field

from mailhive.model.rates import Buckets, Rate

__all__ = ["Pace"]


@define(eq=False)
class Pace:
    """`clock()` is the time in seconds."""

    clock: Callable[[], float]
    _buckets: dict[Rate, Buckets] = field(init=False, factory=dict)
    _until: dict[str, float] = field(init=False, factory=dict)

    def take(self, destination: str, rate: Rate | None) -> bool:
        """May a delivery begin now?  Then it is counted."""
        if rate is None:
            return True
        buckets = self._buckets.setdefault(rate, Buckets(rate, self.clock))
        wait = buckets.take(destination)
        if wait:
            self._until[destination] = self.clock() + wait
        return not wait

    def waiting(self) -> Mapping[str, float]:
        """Destinations that were refused, and when they can be asked again."""
        now = self.clock()
        self._until = {each: until for each, until in self._until.items() if until > now}
        return self._until

"""How much a user does at a time (RFC 8620 §2 maxConcurrentRequests, maxConcurrentUpload)."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from mailhive.jmap.errors import RequestError

__all__ = ["Slots"]


@define(eq=False)
class Slots:
    """`limit` slots for each user, of what `name` says in the capability object."""

    limit: int
    name: str
    _taken: dict[str, int] = field(factory=dict, init=False)

    @contextmanager
    def taken_by(self, user: str) -> Iterator[None]:
        """Hold one slot of `user`; `RequestError` if all are taken (RFC 8620 §3.6.1)."""
        taken = self._taken.get(user, 0)
        if taken >= self.limit:
            raise RequestError(
                "limit", f"At most {self.limit} at a time are allowed.", limit=self.name
            )
        self._taken[user] = taken + 1
        try:
            yield
        finally:
            others = self._taken.pop(user) - 1
            if others:
                self._taken[user] = others

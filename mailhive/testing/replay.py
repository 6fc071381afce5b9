"""A JMAP client that goes away and comes back (RFC 8620 §5.2, §5.6).

What it knows, the objects of a type or the results of a query, is of some state of
the account.  It brings that up to date with `/changes` or `/queryChanges`, and
`check` holds it against a fresh `/get` or `/query`:

    known = KnownObjects.fetch(call, "Mailbox")
    ...                                             # whatever may happen
    known.check(call)

`call(method, **arguments)` makes one call and returns the arguments of its response,
`{"error": …}` for an error.  Others may go on changing the account meanwhile: what is
known is compared with an answer of the same state, and brought up to date again until
there is one.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

__all__ = ["Call", "KnownObjects", "KnownResults"]

Call = Callable[..., dict[str, Any]]

#: What an Email is compared by; the rest never changes.
_EMAIL_PROPERTIES = ["mailboxIds", "keywords", "threadId", "receivedAt"]
#: How often the account may have changed between an update and a fresh answer.
_TRIES = 200


@define
class KnownObjects:
    """All objects of a type, as they were at a state."""

    type: str
    state: str
    objects: dict[str, Any] = field(factory=dict)

    @classmethod
    def fetch(cls, call: Call, type_name: str) -> "KnownObjects":
        """What there is now."""
        fresh = _get(call, type_name, None)
        return cls(type_name, fresh["state"], _by_id(fresh))

    def update(self, call: Call, max_changes: int | None = None) -> bool:
        """One step towards the present; is there more to come?

        Whatever a call raises, what is known stays what it was.
        """
        changes = _call(call, f"{self.type}/changes", sinceState=self.state, maxChanges=max_changes)
        created, updated, destroyed = (changes[n] for n in ("created", "updated", "destroyed"))
        everything = [*created, *updated, *destroyed]
        assert changes["oldState"] == self.state
        assert len(set(everything)) == len(everything)
        assert max_changes is None or len(everything) <= max_changes
        assert set(created).isdisjoint(self.objects)
        assert set(updated) <= set(self.objects)
        assert not everything or changes["newState"] != self.state
        got = _get(call, self.type, [*created, *updated])
        objects = {**self.objects, **_by_id(got)}
        for gone in (*got["notFound"], *destroyed):
            objects.pop(gone, None)
        self.objects, self.state = objects, changes["newState"]
        return bool(changes["hasMoreChanges"])

    def check(self, call: Call, max_changes: int | None = None) -> None:
        """Come to the present, and find what a fresh `/get` gives."""
        for _ in range(_TRIES):
            while self.update(call, max_changes):
                pass
            fresh = _get(call, self.type, None)
            if fresh["state"] == self.state:
                assert self.objects == _by_id(fresh), self
                return
        raise AssertionError(f"{self.type} changes faster than it can be asked for")


@frozen
class KnownResults:
    """What is known of the results of a query at a state; None is an id not fetched."""

    type: str
    arguments: dict[str, Any]
    state: str
    ids: tuple[str | None, ...]

    @classmethod
    def fetch(
        cls, call: Call, type_name: str, arguments: dict[str, Any], limit: int | None = None
    ) -> "KnownResults":
        """The first `limit` of the results that there are now, or all of them."""
        found = _query(call, type_name, arguments)
        assert found["canCalculateChanges"] is True
        ids = found["ids"][:limit]
        unknown = [None] * (found["total"] - len(ids))
        return cls(type_name, arguments, found["queryState"], (*ids, *unknown))

    @property
    def beginning(self) -> list[str]:
        """What is known without a gap."""
        stop = self.ids.index(None) if None in self.ids else len(self.ids)
        return [i for i in self.ids[:stop] if i is not None]

    def updated(self, call: Call, *, up_to: bool = False) -> "KnownResults":
        """As `/queryChanges` says it is now; with `up_to` by what follows from its upToId."""
        last = self.beginning[-1] if up_to and self.beginning else None
        asked = {**self.arguments, "sinceQueryState": self.state, "upToId": last}
        method = f"{self.type}/queryChanges"
        found = _call(call, method, **asked, calculateTotal=True)
        assert found["oldQueryState"] == self.state
        indexes = [item["index"] for item in found["added"]]
        assert indexes == sorted(set(indexes))
        self._check_limit(call, method, asked, found)
        ids = self._spliced(found["removed"], found["added"], found["total"])
        known = KnownResults(self.type, self.arguments, found["newQueryState"], ids)
        # What has not moved is still the end of what is known.
        assert last in (None, *found["removed"], *known.beginning), (self, found)
        return known

    def check(self, call: Call, *, up_to: bool = False) -> "KnownResults":
        """As it is now, which is what a fresh `/query` gives."""
        for _ in range(_TRIES):
            known = self.updated(call, up_to=up_to)
            fresh = _query(call, self.type, self.arguments)
            if fresh["queryState"] == known.state:
                assert self._leads_to(known, fresh, up_to), (self, known, fresh)
                return known
        raise AssertionError(f"{self.type} changes faster than it can be asked for")

    def _leads_to(self, known: "KnownResults", fresh: dict[str, Any], up_to: bool) -> bool:
        """Is `known`, which this was updated to, what there is?"""
        if None not in self.ids and not up_to:
            return list(known.ids) == fresh["ids"]
        beginning = known.beginning
        return len(known.ids) == fresh["total"] and beginning == fresh["ids"][: len(beginning)]

    def _check_limit(
        self, call: Call, method: str, asked: dict[str, Any], found: dict[str, Any]
    ) -> None:
        """The same is told within its own size, and nothing within less."""
        count = len(found["removed"]) + len(found["added"])
        same = call(method, **asked, maxChanges=count)
        if same.get("newQueryState") == found["newQueryState"]:
            assert "total" not in same
            assert same == {name: value for name, value in found.items() if name != "total"}
            less = call(method, **asked, maxChanges=count - 1) if count else {}
            if "error" in less:
                assert less["error"]["type"] == "tooManyChanges"
            elif less:
                assert less["newQueryState"] != found["newQueryState"]

    def _spliced(
        self, removed: list[str], added: list[dict[str, Any]], total: int
    ) -> tuple[str | None, ...]:
        """RFC 8620 §5.6: splice out, splice in, truncate or extend."""
        ids = [i for i in self.ids if i is None or i not in removed]
        for item in added:
            ids += [None] * (item["index"] - len(ids))
            ids.insert(item["index"], item["id"])
        return tuple([*ids, *[None] * total][:total])


def _call(call: Call, method: str, **arguments: Any) -> dict[str, Any]:
    response = call(method, **arguments)
    assert "error" not in response, (method, arguments, response)
    return response


def _get(call: Call, type_name: str, ids: list[str] | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {"ids": ids}
    if type_name == "Email":
        arguments["properties"] = _EMAIL_PROPERTIES
    return _call(call, f"{type_name}/get", **arguments)


def _query(call: Call, type_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return _call(call, f"{type_name}/query", **arguments, calculateTotal=True)


def _by_id(response: dict[str, Any]) -> dict[str, Any]:
    return {one["id"]: one for one in response["list"]}

"""Objects as the JSON text that was last answered, kept until they change.

A list is opened again and again, and every device of a user asks for the same new
Emails, while what changes in between is little.  The text of an object is made once and
spliced into later answers, whatever they consist of.  What is kept is as of one state of
the type; what the change log tells since then is forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from threading import Lock
from typing import Any

from attrs import define, field
from msgspec import Raw

from mailhive.errors import CannotCalculateChanges

__all__ = ["Kept"]

#: Changes since it was last looked at beyond which nothing is taken for known.
_FEW = 500
#: Stands for what a text takes beside its octets.
_OVERHEAD = 200
#: The parts of all memory that the texts of one shape may take, and one text.
_SET, _TEXT = 4, 128

#: Account id, type, and all that the text of an object depends on beside the object.
_Key = tuple[str, str, Hashable]


@define
class _Texts:
    """The texts of some objects as of a state, and what they weigh."""

    state: int
    by_id: dict[str, Raw] = field(factory=dict)
    weight: int = 0

    def put(self, object_id: str, text: Raw) -> None:
        self.forget(object_id)
        self.by_id[object_id] = text
        self.weight += _weight(text)

    def forget(self, object_id: str) -> None:
        text = self.by_id.pop(object_id, None)
        self.weight -= 0 if text is None else _weight(text)


class Kept:
    """The texts used last, of all accounts, in at most `size` octets.  For any thread."""

    def __init__(self, size: int) -> None:
        self._lock = Lock()
        self._size = size
        self._weight = 0
        self._sets: OrderedDict[_Key, _Texts] = OrderedDict()

    def find(
        self, reader: Any, type_name: str, shape: Hashable, state: int, ids: Iterable[str]
    ) -> dict[str, Raw]:
        """The texts of those of `ids` that are known, in that order, as of the reader's moment.

        `state` is that of the type then; `shape` says what the texts consist of: the
        properties, and whatever else they depend on.
        """
        key = (reader.account_id, type_name, shape)
        kept = self._sets.get(key)
        if kept is None or (since := kept.state) > state:
            return {}
        changed = [] if since == state else _changed(reader, type_name, since)
        with self._lock:
            if self._sets.get(key) is not kept or kept.state != since:
                return {}  # another thread was faster
            if changed is None:
                self._drop(key)
                return {}
            before = kept.weight
            for object_id in changed:
                kept.forget(object_id)
            self._weight += kept.weight - before
            kept.state = state
            self._sets.move_to_end(key)
            known = kept.by_id
            return {i: known[i] for i in ids if i in known}

    def add(
        self, account_id: str, type_name: str, shape: Hashable, state: int, texts: Mapping[str, Raw]
    ) -> None:
        """Keep the texts of objects as they were at a state."""
        key = (account_id, type_name, shape)
        with self._lock:
            kept = self._sets.get(key)
            if kept is not None and kept.state < state:  # and it is not known what has changed
                self._drop(key)
                kept = None
            if kept is None:
                kept = self._sets[key] = _Texts(state, weight=len(repr(shape)))
                self._weight += kept.weight
            elif kept.state > state:
                return
            before = kept.weight
            for object_id, text in texts.items():
                if _weight(text) <= self._size // _TEXT:
                    kept.put(object_id, text)
            self._weight += kept.weight - before
            if kept.weight > self._size // _SET:
                self._drop(key)
            while self._weight > self._size:
                self._drop(next(iter(self._sets)))

    def _drop(self, key: _Key) -> None:
        self._weight -= self._sets.pop(key).weight


def _changed(reader: Any, type_name: str, since: int) -> list[str] | None:
    """The ids of what has changed or gone since a state; None if that is too much to tell."""
    try:
        changes = reader.changes(type_name, since, _FEW)
    except CannotCalculateChanges:
        return None
    return None if changes.has_more else [*changes.updated, *changes.destroyed]


def _weight(text: Raw) -> int:
    return len(text) + _OVERHEAD

"""Results of Email queries, kept to be answered from and to be carried forward."""

from array import array
from collections import OrderedDict
from threading import Lock

from attrs import frozen

from mailhive.model.email import EmailQuery

__all__ = ["QueryCache", "Results"]

#: Stands for what an entry takes beside its query and results.
_OVERHEAD = 1024


@frozen
class Results:
    """The ids that a query gave, in order, at an Email state."""

    emails: "array[int]"
    state: int


class QueryCache:
    """The results used last, of all accounts, in at most `size` octets.  For any thread."""

    def __init__(self, size: int) -> None:
        self._lock = Lock()
        self._left = size
        self._entries: OrderedDict[tuple[str, EmailQuery], Results] = OrderedDict()

    def get(self, account_id: str, query: EmailQuery) -> Results | None:
        """The results at the last state that was asked for, if they are still here."""
        with self._lock:
            results = self._entries.get((account_id, query))
            if results is not None:
                self._entries.move_to_end((account_id, query))
            return results

    def put(self, account_id: str, query: EmailQuery, results: Results) -> None:
        """Keep results, unless there are some of a later state."""
        with self._lock:
            key = (account_id, query)
            old = self._entries.get(key)
            if old is not None:
                if old.state > results.state:
                    return
                self._left += _weight(query, self._entries.pop(key))
            self._entries[key] = results
            self._left -= _weight(query, results)
            while self._left < 0:
                (_, dropped), its_results = self._entries.popitem(last=False)
                self._left += _weight(dropped, its_results)


def _weight(query: EmailQuery, results: Results) -> int:
    return _OVERHEAD + len(repr(query)) + len(results.emails) * results.emails.itemsize

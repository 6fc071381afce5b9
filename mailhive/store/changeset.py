"""The changes of one function that writes: their modseqs, and what is counted of them."""

from collections.abc import Iterable

from mailhive.errors import NotFound
from mailhive.sqlite.connection import Connection
from mailhive.store.cache import QueryCache
from mailhive.store.changelog import Life, Log
from mailhive.store.counts import Counts
from mailhive.store.ids import mailbox_number
from mailhive.store.reader import Reader
from mailhive.store.textindex import index_pending

__all__ = ["ChangeSet"]


class ChangeSet(Reader):
    """A reader that changes.  Counters, counts and states are written down by `sync`."""

    def __init__(
        self, connection: Connection, account_id: str, cache: QueryCache, life: Life, now: float
    ) -> None:
        super().__init__(connection, account_id, cache, bounded=False)
        self.cache = None  # results that may never be committed are not shared
        self._saved: dict[str, int] = dict(connection.all("SELECT name, value FROM counter"))
        self._counters = dict(self._saved)
        self._log = Log(connection, self._saved["modseq"], life, now)
        self._counts = Counts(connection, self._log, self._saved["trash"])
        #: Mailboxes that are there, by id.
        self._known_mailboxes: dict[str, int] = {}
        #: Did this put text where the index does not have it yet?
        self.added_text = False

    @property
    def changed(self) -> dict[str, int]:
        """The types that changed, with their new states."""
        return self._log.changed

    def sync(self) -> None:
        self._counts.settle()
        self._log.flush()
        self._counters["modseq"] = self._log.modseq
        self.connection.many(
            "UPDATE counter SET value = ? WHERE name = ?",
            [(n, name) for name, n in self._counters.items() if n != self._saved[name]],
        )
        self._saved = dict(self._counters)

    def finish(self) -> None:
        """The function has returned: complete its changes."""
        self.sync()

    def prepare_search(self) -> None:
        index_pending(self)

    def _next(self, counter: str) -> int:
        self._counters[counter] += 1
        return self._counters[counter]

    def _mailboxes(self, wires: Iterable[str]) -> tuple[int, ...]:
        numbers = set()
        for wire in wires:
            number = self._known_mailboxes.get(wire)
            if number is None:
                number = mailbox_number(wire)
                row = self.connection.row("SELECT 1 FROM mailbox WHERE id = ?", (number,))
                if number is None or row is None:
                    raise NotFound(f"There is no Mailbox {wire}")
                self._known_mailboxes[wire] = number
            numbers.add(number)
        if not numbers:
            raise ValueError("An Email has to be in a Mailbox")
        return tuple(sorted(numbers))

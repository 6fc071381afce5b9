"""The list view: a mailbox, or all mail, by date, walked along the index `mbx`.

Results near the top are found without looking at the others, and totals are kept
counters.
"""

from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from attrs import frozen

from mailhive.model.email import EmailQuery
from mailhive.store.filters import conjuncts
from mailhive.store.flags import KEYWORD_FLAGS
from mailhive.store.ids import mailbox_number

if TYPE_CHECKING:
    from mailhive.store.reader import Reader

__all__ = ["REACH", "SKIP", "ListView", "OutOfReach"]

#: How far a walk goes before the array of all results is the better way, and how far
#: one that only counts, which SQLite does by itself.
REACH = 800
SKIP = 20_000


class OutOfReach(Exception):
    """What is looked for is further away than a walk should go."""


@frozen
class ListView:
    """The Emails of one mailbox whose flags are set and clear as asked, by date.

    Mailbox 0 is all mail.
    """

    mailbox: int
    ascending: bool
    mask: int
    wanted: int
    collapse: bool

    @classmethod
    def of(cls, query: EmailQuery) -> "ListView | None":
        """The query as a list view, if it is one."""
        properties = conjuncts(query.filter)
        if properties is None or [c.property for c in query.sort] not in ([], ["receivedAt"]):
            return None
        mailboxes = set()
        mask = wanted = 0
        for name, value in properties:
            if name == "inMailbox":
                mailboxes.add(mailbox_number(value) or -1)
            elif name in ("hasKeyword", "notKeyword") and value.lower() in KEYWORD_FLAGS:
                flag = KEYWORD_FLAGS[value.lower()]
                bit = flag if name == "hasKeyword" else 0
                if mask & flag and wanted & flag != bit:
                    return None
                mask, wanted = mask | flag, wanted | bit
            else:
                return None
        if len(mailboxes) > 1:
            return None
        ascending = bool(query.sort) and query.sort[0].ascending
        mailbox = mailboxes.pop() if mailboxes else 0
        return cls(mailbox, ascending, mask, wanted, query.collapse_threads)

    def size(self, reader: "Reader") -> int:
        """At most how many results there are."""
        column = "total_threads" if self.collapse and not self.mask else "total_emails"
        sql = f"SELECT {column} FROM mailbox WHERE id = ?"
        return reader.connection.value(sql, (self.mailbox,)) or 0

    def total(self, reader: "Reader") -> int | None:
        """How many results there are, if that is counted."""
        return None if self.mask else self.size(reader)

    def window(self, reader: "Reader", start: int, stop: int) -> list[int]:
        """The results from one index to another.  Raises `OutOfReach` if they are far away."""
        if start >= stop:
            return []
        if self.collapse or self.mask:
            if stop > REACH:
                raise OutOfReach
            with closing(self.walk(reader)) as walk:
                return list(islice(walk, start, stop))
        if stop > SKIP:
            raise OutOfReach
        reader.spend((stop - start) // 10)
        rows = reader.connection.all(
            f"SELECT email FROM mbx WHERE mailbox = ? ORDER BY {self._order} LIMIT ? OFFSET ?",
            (self.mailbox, stop - start, start),
        )
        return [email for (email,) in rows]

    @property
    def _order(self) -> str:
        return f"received_at {'ASC' if self.ascending else 'DESC'}, email DESC"

    def walk(self, reader: "Reader") -> Generator[int, None, None]:
        """The results in order.  Raises `OutOfReach` after some distance."""
        seen: set[int] = set()
        rows = reader.connection.rows(
            "SELECT email, thread, flags FROM mbx WHERE mailbox = ?"
            f" ORDER BY {self._order} LIMIT ?",
            (self.mailbox, REACH + 1),
        )
        with closing(rows):
            for examined, (email, thread, flags) in enumerate(rows):
                if examined == REACH:
                    raise OutOfReach
                if flags & self.mask != self.wanted:
                    continue
                if self.collapse:
                    if thread in seen:
                        continue
                    seen.add(thread)
                yield email

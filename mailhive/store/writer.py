"""`IMailWriter` on a connection: the changes of one function that writes."""

from zope.interface import implementer

from mailhive.interfaces.mailstore import IMailWriter
from mailhive.store.adding import EmailAdder
from mailhive.store.changing import EmailChanger
from mailhive.store.records import RecordWriter

__all__ = ["Writer"]


@implementer(IMailWriter)
class Writer(RecordWriter, EmailAdder, EmailChanger):
    """All that changes an account."""

    def remember(self, kind: str, key: str, now: int, until: int, limit: int) -> bool:
        self.connection.execute("DELETE FROM note WHERE kind = ? AND until <= ?", (kind, now))
        if self.connection.row("SELECT 1 FROM note WHERE kind = ? AND key = ?", (kind, key)):
            return False
        self.connection.execute(
            "INSERT INTO note (kind, key, until) VALUES (?, ?, ?)", (kind, key, until)
        )
        self.connection.execute(
            "DELETE FROM note WHERE kind = ?1 AND key IN"
            " (SELECT key FROM note WHERE kind = ?1 ORDER BY until DESC LIMIT -1 OFFSET ?2)",
            (kind, limit),
        )
        return True

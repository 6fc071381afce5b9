"""A server under measurement, and the list of rows."""

import itertools
import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from corpus import Corpus, Message
from fill import import_arguments
from jmap import Account, Failed, check_set
from vocabulary import words

NEWEST = [{"property": "receivedAt", "isAscending": False}]
PAGE = 50
LIST_PROPERTIES = words("""id threadId mailboxIds keywords hasAttachment from to subject
receivedAt size preview""")
BODY_PROPERTIES = words("""id blobId threadId mailboxIds keywords from to cc bcc replyTo
subject sentAt receivedAt hasAttachment bodyValues textBody htmlBody attachments""")

# What the rows add themselves comes from beyond what a fill reaches, and never
# twice: some servers know a message again that has been destroyed.
BEYOND = range(10_000_000, 1_000_000_000)


@dataclass
class Site:
    """A server under measurement."""

    name: str
    account: Account
    corpus: Corpus
    smtp: str | None = None
    recipient: str = ""
    #: Session URLs of other users, with as many messages each.
    others: list[str] = field(default_factory=list)
    inbox: str = ""
    _beyond: Iterator[int] = field(default_factory=lambda: itertools.count(random.choice(BEYOND)))

    def prepare(self) -> None:
        """Find the inbox."""
        mailboxes = self.account.call("Mailbox/get", ids=None, properties=["role"])["list"]
        self.inbox = next(m["id"] for m in mailboxes if m["role"] == "inbox")

    def query(self, **arguments: Any) -> dict[str, Any]:
        return self.account.call("Email/query", **arguments)

    def inbox_ids(self, count: int, position: int = 0) -> list[str]:
        """Ids of the newest messages of the inbox; `Failed` if there are fewer."""
        ids: list[str] = []
        while len(ids) < count:
            page = self.query(
                filter={"inMailbox": self.inbox},
                sort=NEWEST,
                position=position + len(ids),
                limit=count - len(ids),
            )["ids"]
            if not page:
                raise Failed(f"the inbox has only {position + len(ids)} messages")
            ids += page
        return ids

    def inbox_total(self) -> int:
        total: int = self.query(filter={"inMailbox": self.inbox}, limit=1, calculateTotal=True)[
            "total"
        ]
        return total

    def fresh(self, count: int) -> list[Message]:
        """Messages that this account does not have yet."""
        return [self.corpus[i] for i in itertools.islice(self._beyond, count)]

    def add(self, count: int) -> list[str]:
        """Import that many new messages; their ids."""
        ids: list[str] = []
        for message in self.fresh(count):
            blob = self.account.upload(message.raw)
            emails = {"m": import_arguments(message, blob, self.inbox, received_now=True)}
            made = check_set(self.account.call("Email/import", emails=emails))
            ids.append(made["created"]["m"]["id"])
        return ids

    def destroy(self, ids: list[str]) -> None:
        for some in batches(ids, self.account.limit("maxObjectsInSet")):
            check_set(self.account.call("Email/set", destroy=some))

    def update(self, patches: dict[str, dict[str, Any]]) -> float:
        """Email/set in as many calls as the server's limit asks for; the seconds of all."""
        seconds = 0.0
        for ids in batches(list(patches), self.account.limit("maxObjectsInSet")):
            check_set(self.account.call("Email/set", update={i: patches[i] for i in ids}))
            seconds += self.account.seconds
        return seconds


Measurements = Generator[float, None, None]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `limit` says that a measurement is one exchange, which a bare server can be asked for as
    well; `durable` that the answer promises to be on the disk.
    """

    name: str
    run: Callable[[Site], Measurements]
    unit: str = "ms"  # or msg/s, req/s
    rounds: int | None = None  # at most
    goal: float = 1.0  # times as fast as Cyrus
    indexed: bool = False  # does not grow with the account
    sized: bool = True  # worth measuring on accounts of every size
    limit: bool = True
    durable: bool = False


ROWS: list[Row] = []


def row(
    name: str, **about: Any
) -> Callable[[Callable[[Site], Measurements]], Callable[[Site], Measurements]]:
    def register(run: Callable[[Site], Measurements]) -> Callable[[Site], Measurements]:
        ROWS.append(Row(name, run, **about))
        return run

    return register


def batches(ids: list[str], size: int) -> list[list[str]]:
    return [ids[i : i + size] for i in range(0, len(ids), size)]

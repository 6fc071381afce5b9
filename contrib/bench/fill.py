"""Fill an account with the first messages of a corpus, by Email/import or by SMTP."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from corpus import LISTS, Corpus, Message
from jmap import Account, check_set
from smtp import deliver

FOLDERS = ("archive", "projects", *LISTS)
BATCH = 50
SMTP_CONNECTIONS = 8


class Progress:
    """A bar on a terminal; elsewhere a line for each tenth."""

    WIDTH = 30

    def __init__(self, label: str, total: int, done: int = 0) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
        self._begin = self._drawn = time.monotonic()
        self._tenth = -1
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            finished = self._done >= self._total
            if sys.stderr.isatty():
                if now - self._drawn >= 0.2 or finished:
                    self._drawn = now
                    sys.stderr.write("\r" + self._line(now) + ("\n" if finished else ""))
            elif self._done * 10 // self._total != self._tenth:
                self._tenth = self._done * 10 // self._total
                sys.stderr.write(self._line(now) + "\n")
            sys.stderr.flush()

    def _line(self, now: float) -> str:
        rate = (self._done - self._first) / max(now - self._begin, 1e-9)
        left = round((self._total - self._done) / rate) if rate else 0
        bar = "#" * (self._done * self.WIDTH // self._total)
        return (
            f"{self._label} [{bar:.<{self.WIDTH}}] {self._done:,}/{self._total:,}  "
            f"{rate:,.0f}/s  {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left "
        )


def total(account: Account) -> int:
    """How many messages the account has."""
    return account.call("Email/query", limit=1, calculateTotal=True)["total"]


def mailboxes(account: Account) -> dict[str | None, str]:
    """Ids of the inbox (None) and of the corpus's folders, which are made if need be."""
    found = {
        (None if m["role"] == "inbox" else m["name"]): m["id"]
        for m in account.call("Mailbox/get", ids=None)["list"]
        if m["role"] == "inbox" or m["name"] in FOLDERS
    }
    missing = [name for name in FOLDERS if name not in found]
    if missing:
        made = account.call("Mailbox/set", create={name: {"name": name} for name in missing})
        found.update({name: check_set(made)["created"][name]["id"] for name in missing})
    return found


def by_import(account: Account, corpus: Corpus, count: int) -> int:
    """Bring the account to `count` messages; returns how many were added.

    What is there already is taken for the beginning of the same corpus, so that
    a fill that was interrupted goes on where it was.
    """
    start = total(account)
    if start >= count:
        return 0
    places = mailboxes(account)
    progress = Progress(f"{account.user} import", count, start)
    uploads = min(4, account.limit("maxConcurrentUpload"))
    batch = min(BATCH, account.limit("maxObjectsInSet"))
    local = threading.local()

    def upload(message: Message) -> str:
        if not hasattr(local, "account"):
            local.account = account.clone()
        return local.account.upload(message.raw)

    with ThreadPoolExecutor(uploads) as pool:
        for first in range(start, count, batch):
            messages = list(corpus.messages(first, min(first + batch, count)))
            blobs = list(pool.map(upload, messages))
            emails = {
                f"m{message.index}": import_arguments(message, blob, places[message.folder])
                for message, blob in zip(messages, blobs, strict=True)
            }
            check_set(account.call("Email/import", emails=emails))
            progress.add(len(messages))
    return count - start


def import_arguments(
    message: Message, blob_id: str, mailbox_id: str, received_now: bool = False
) -> dict[str, object]:
    """An EmailImport object (RFC 8621 §4.8)."""
    received = datetime.now(UTC) if received_now else message.received_at
    return {
        "blobId": blob_id,
        "mailboxIds": {mailbox_id: True},
        "keywords": dict.fromkeys(message.keywords, True),
        "receivedAt": received.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def by_smtp(account: Account, corpus: Corpus, count: int, smtp: str, recipient: str) -> int:
    """As `by_import`, but everything goes to the inbox, received now."""
    start = total(account)
    if start >= count:
        return 0
    progress = Progress(f"{account.user} SMTP", count, start)
    deliver(smtp, recipient, corpus.messages(start, count), SMTP_CONNECTIONS, progress.add)
    return count - start

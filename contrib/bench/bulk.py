#!/usr/bin/env python3
"""Fill accounts of a mailhive that is not running, by the code that delivers mail to it.

    bulk.py DATA-DIR small=1000 large=1000000

Each account gets the first messages of the corpus, with the folders, keywords and dates that
it has, as Email/import would have them.  What an account has already is taken for the
beginning of them.  The messages are made and read by processes of their own.
"""

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from corpus import Corpus
from fill import FOLDERS, Progress
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from mailhive.blobs import fs
from mailhive.blobs.names import id_of
from mailhive.config.units import Size
from mailhive.mail.analyse import analyse
from mailhive.mail.provision import Accounts
from mailhive.model.email import NewEmail
from mailhive.model.principal import Principal
from mailhive.services import BuildContext
from mailhive.store import sqlite
from mailhive.store.textindex import index_pending

CHUNK = 500
DOMAIN = "example.org"

#: Octets, what was read of them, folder and keywords.
Prepared = tuple[bytes, NewEmail, str | None, tuple[str, ...]]


def prepare(seed: int, first: int, stop: int) -> list[Prepared]:
    """Make messages and read them, in a process of its own."""
    corpus = _corpora.get(seed) or _corpora.setdefault(seed, Corpus(seed))
    prepared = []
    for message in corpus.messages(first, stop):
        blob_id = id_of(sha256(message.raw).digest())
        received = int(message.received_at.timestamp() * 1000)
        email = analyse(message.raw, blob_id, received)
        prepared.append((message.raw, email, message.folder, message.keywords))
    return prepared


_corpora: dict[int, Corpus] = {}


class Filler:
    """One account, and how much of it there is."""

    def __init__(self, store: Any, name: str, count: int) -> None:
        self.store, self.name, self.count = store, name, count

    async def open(self) -> None:
        owner = Principal(self.name, emails=(f"{self.name}@{DOMAIN}",))
        self.id = await Accounts(self.store).ensure(owner)
        self.done, self.places = await self.store.write(self.id, furnish, self.name)

    async def add(self, first: int, prepared: list[Prepared]) -> None:
        fitting = prepared[max(0, self.done - first) : max(0, self.count - first)]
        if fitting:
            await self.store.write(self.id, add, fitting, self.places)
            self.done += len(fitting)


def furnish(writer: Any, owner: str) -> tuple[int, dict[str | None, str]]:
    """How many Emails there are, and the ids of the inbox (None) and the corpus's folders."""
    names = {record.data["name"]: record.id for record in writer.records("Mailbox").values()}
    for name in FOLDERS:
        if name not in names:
            data = {"name": name, "parentId": None, "role": None, "sortOrder": 0}
            names[name] = writer.create_record("Mailbox", data | {"subscribers": [owner]})
    counts = writer.mailbox_counts().values()
    places = {None: names["Inbox"], **{name: names[name] for name in FOLDERS}}
    return sum(count.total_emails for count in counts), places


def add(writer: Any, prepared: list[Prepared], places: dict[str | None, str]) -> None:
    for _, email, folder, keywords in prepared:
        writer.add_email(email, [places[folder]], keywords)
    index_pending(writer)


def chunks(pool: ProcessPoolExecutor, seed: int, first: int, stop: int) -> Iterator[Future]:
    """Work of the pool that has begun, a little ahead of who takes it."""
    ahead: deque[Future] = deque()
    for begin in range(first, stop, CHUNK):
        ahead.append(pool.submit(prepare, seed, begin, min(begin + CHUNK, stop)))
        if len(ahead) > 6:
            yield ahead.popleft()
    yield from ahead


async def fill(options: argparse.Namespace) -> None:
    def offload(function: Any, *arguments: Any) -> Deferred[Any]:
        return deferToThread(function, *arguments)

    context = BuildContext(reactor, options.directory, offload)
    store = sqlite.build(sqlite.SqliteSettings(page_cache=Size(256_000_000)), context)
    blobs = fs.build(fs.FsSettings(), context)
    store.startService()
    blobs.startService()
    fillers = [Filler(store, name, int(n)) for name, n in (a.split("=") for a in options.account)]
    for filler in fillers:
        await filler.open()
    first, stop = min(f.done for f in fillers), max(f.count for f in fillers)
    progress = Progress("fill", stop, first)
    with ProcessPoolExecutor(options.processes) as pool:
        for future in chunks(pool, options.seed, first, stop):
            prepared = await deferToThread(future.result)
            await gatherResults([put(blobs, raw) for raw, *_ in prepared])
            await gatherResults([Deferred.fromCoroutine(f.add(first, prepared)) for f in fillers])
            first += len(prepared)
            progress.add(len(prepared))
    await blobs.stopService()
    await store.stopService()


def put(blobs: Any, raw: bytes) -> Deferred[str]:
    writer = blobs.open_writer()
    writer.write(raw)
    return writer.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DATA-DIR")
    parser.add_argument("account", nargs="+", metavar="NAME=COUNT")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    react(lambda _: Deferred.fromCoroutine(fill(options)))


if __name__ == "__main__":
    main()

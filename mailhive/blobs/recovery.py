"""Opening a store: bring the index up to what the packs and files say."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from twisted.logger import Logger

from mailhive.blobs.index import OWN_FILE, Index, IndexUnusable, Location
from mailhive.blobs.names import digest_of
from mailhive.blobs.pack import (
    BLOB,
    DELETED,
    PACK_HEADER_SIZE,
    Pack,
    PackUnreadable,
    Record,
    pack_numbers,
    pack_path,
)

__all__ = ["recover"]

log = Logger()

_BATCH = 5_000  # records indexed per transaction


def recover(packs: Path, files: Path, index_path: Path, *, unclean: bool) -> Index:
    """The index, covering all that is stored.

    `unclean` says that the last process did not close the store.  OSError when
    something cannot be read.
    """
    numbers = pack_numbers(packs)
    index = _open_index(index_path, packs, numbers)
    try:
        indexed = index.packs()
        newest = max(indexed, default=0)
        for number in numbers:
            # Packs before the newest were covered when it was begun.
            if number >= newest:
                known = indexed.get(number)
                last = number == numbers[-1]
                _replay(index, packs, number, known.end if known else 0, last=last)
        if unclean or not indexed:
            _adopt(index, files)
    except BaseException:
        index.close()
        raise
    return index


def _open_index(path: Path, packs: Path, numbers: list[int]) -> Index:
    try:
        index = Index(path)
    except IndexUnusable as error:
        log.warn("Making the index of the blobs again: {reason}", reason=str(error))
        return _new_index(path)
    if _fits(index, packs, numbers):
        return index
    index.close()
    log.warn("Making the index of the blobs again: it does not fit the packs", path=str(path))
    return _new_index(path)


def _new_index(path: Path) -> Index:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    return Index(path)


def _fits(index: Index, packs: Path, numbers: list[int]) -> bool:
    """Can what is missing in the index be behind the ends that it knows, and only there?"""
    indexed = index.packs()
    for number in indexed.keys() - set(numbers):
        # Removed by a compaction that a crash kept from saying so; or lost.
        with index.transaction():
            lost = index.forget_pack(number)
        if lost:
            path = str(pack_path(packs, number))
            log.critical("{path} is missing and {lost} blobs with it", path=path, lost=lost)
    indexed = index.packs()
    newest = max(indexed, default=0)
    return all(
        pack_path(packs, number).stat().st_size >= indexed[number].end
        if number in indexed
        else number > newest
        for number in numbers
    )


def _replay(index: Index, packs: Path, number: int, start: int, *, last: bool) -> None:
    """Index what a pack holds from `start` on, and cut a torn tail off the last one."""
    try:
        pack = Pack.open(packs, number)
    except PackUnreadable as error:
        path = pack_path(packs, number)
        if path.stat().st_size <= PACK_HEADER_SIZE:  # a crash while it was made
            path.unlink()
            return
        log.critical("{error}; its blobs cannot be indexed", error=str(error))
        with index.transaction():
            index.extend(number, start, 0)
        return
    try:
        end = start = max(start, PACK_HEADER_SIZE)
        records = pack.scan(start)
        while batch := list(islice(records, _BATCH)):
            end = batch[-1].end
            _index_records(index, number, batch, end)
        _index_records(index, number, (), end)
        if last and pack.end > end:
            log.info("Cut {torn} torn octets off {path}", torn=pack.end - end, path=str(pack.path))
            pack.truncate(end)
    finally:
        pack.close()


def _index_records(index: Index, number: int, records: Sequence[Record], end: int) -> None:
    with index.transaction():
        index.extend(number, end, sum(record.kind == DELETED for record in records))
        for record in records:
            if record.kind == BLOB:
                at = Location(number, record.start, record.length, record.committed)
                index.put(record.digest, at)
            else:
                index.remove(record.digest)


def _adopt(index: Index, files: Path) -> None:
    """Index the large files that a crash left out, and remove what packs hold as well."""
    with index.transaction(), os.scandir(files) as entries:
        for entry in entries:
            digest = digest_of(entry.name)
            if digest is None:
                log.warn("{path} is none of the store's files", path=entry.path)
                continue
            known = index.lookup(digest)
            if known is None:
                found = entry.stat()
                index.put(digest, Location(OWN_FILE, 0, found.st_size, found.st_mtime))
            elif known.pack != OWN_FILE:
                Path(entry.path).unlink()

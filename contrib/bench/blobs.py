"""Durable commits per second: the file-based blob store against a file per message.

    python contrib/bench/blobs.py [DIRECTORY] [--size 10240] [--seconds 2] [--rounds 3]

Lanes commit one message after the other, so that as many wait at once as there
are lanes.  `file` writes each message to a file of its own, syncs it, links it
to its name and syncs the directory, with a thread per lane at most 16.  Both
take turns in one run; the table has the median of the rounds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from mailhive.blobs.fs import FsBlobStore


def write_file(directory: Path, content: bytes) -> None:
    """What a store of one file per message does for a message."""
    name = directory / sha256(content).hexdigest()
    temporary = directory / (name.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(name)
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


@inlineCallbacks
def rate(commit: Callable[[bytes], Deferred], lanes: int, size: int, seconds: float):
    """Commits per second of that many lanes."""
    end = time.perf_counter() + seconds
    filler = os.urandom(size - 16)
    done = 0

    @inlineCallbacks
    def lane():
        nonlocal done
        while time.perf_counter() < end:
            yield commit(os.urandom(16) + filler)
            done += 1

    start = time.perf_counter()
    yield gatherResults([lane() for _ in range(lanes)])
    return done / (time.perf_counter() - start)


@inlineCallbacks
def main(_reactor, options):
    reactor.suggestThreadPoolSize(16)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        directory = Path(name)
        files = directory / "files-of-messages"
        files.mkdir()
        store = FsBlobStore(directory / "blobs", reactor, deferToThread)
        store.startService()

        def to_file(content: bytes) -> Deferred:
            return deferToThread(write_file, files, content)

        def to_store(content: bytes) -> Deferred:
            writer = store.open_writer()
            writer.write(content)
            return writer.commit()

        print("lanes   file/s   store/s   ratio")
        for lanes in (1, 16, 64):
            rates = {to_file: [], to_store: []}
            for _ in range(options.rounds):
                for commit, results in rates.items():
                    results.append((yield rate(commit, lanes, options.size, options.seconds)))
            of_files, of_store = (statistics.median(results) for results in rates.values())
            print(f"{lanes:5} {of_files:8.0f} {of_store:9.0f} {of_store / of_files:6.1f}x")
        yield store.stopService()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", help="where to write (default: TMPDIR)")
    parser.add_argument("--size", type=int, default=10_240, help="octets of a message")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    react(main, [parser.parse_args()])

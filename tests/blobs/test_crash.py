"""Every blob that was answered for is there after `kill -9`, byte for byte."""

import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from mailhive.blobs.engine import Engine
from mailhive.blobs.index import OWN_FILE
from mailhive.blobs.names import digest_of

# Stores blobs of every kind as fast as it can and says so once each is durable.
# The content of blob N of a run follows from its name.
WRITER = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from mailhive.blobs.fs import FsBlobStore

root, run = Path(sys.argv[1]), sys.argv[2]
store = FsBlobStore(root, reactor, deferToThread, pack_size=200_000, largest_packed=20_000)

def tell(*words):
    os.write(1, " ".join(words).encode() + b"\\n")

@inlineCallbacks
def work(lane):
    for number in range(lane, 1_000_000, 8):
        name = f"{run}.{number}"
        size = 30_000 if number % 23 == 0 else 1_000 + number % 700
        writer = store.open_writer()
        writer.write((name + " ").encode() * (size // len(name)))
        blob = yield writer.commit()
        if number % 3 == 0:
            tell("deleting", blob)
            yield store.delete(blob)
            tell("deleted", blob)
        else:
            tell("stored", blob, name, str(size))

def start():
    store.startService()
    for lane in range(8):
        work(lane).addErrback(lambda failure: (tell("failed", failure.getTraceback()), os._exit(1)))

reactor.callWhenRunning(start)
reactor.run(installSignalHandlers=False)
"""


@pytest.mark.parametrize("lose_index", [False, True], ids=["index kept", "index lost"])
def test_killing_the_writer_again_and_again(tmp_path, lose_index):
    root = tmp_path / "blobs"
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    stored: dict[str, tuple[str, int]] = {}
    deleted: set[str] = set()
    for run in range(5):
        command = [sys.executable, "-c", WRITER, str(root), str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            lines = [process.stdout.readline() for _ in range(150 + 37 * run)]
            process.send_signal(signal.SIGKILL)
            # What reached the pipe before the end was answered for as well.
            lines += process.stdout.readlines()
        assert process.returncode == -signal.SIGKILL, lines[-1]
        for line in lines:
            match line.decode().split() if line.endswith(b"\n") else []:
                case ["stored", blob, name, size]:
                    stored[blob] = (name, int(size))
                case ["deleted", blob]:
                    deleted.add(blob)
                case ["failed", *reason]:
                    pytest.fail(" ".join(reason))
        if lose_index:
            for path in root.glob("index.sqlite*"):
                path.unlink()
        with capturedLogs():
            engine = Engine(root, 200_000)
        for blob, (name, size) in stored.items():
            digest = digest_of(blob)
            at = engine._index.lookup(digest)
            if at.pack == OWN_FILE:
                content = (engine.files / blob).read_bytes()
            else:
                pack = (engine.packs / f"{at.pack:08}.pack").read_bytes()
                content = pack[at.start : at.start + at.length]
            assert content == (name + " ").encode() * (size // len(name))
            assert sha256(content).digest() == digest
        for blob in deleted:
            assert engine._index.lookup(digest_of(blob)) is None
        engine.close()
    assert len(stored) > 300
    assert len(deleted) > 100

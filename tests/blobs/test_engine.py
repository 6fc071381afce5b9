"""Crashes, damage, deletion and compaction, on the synchronous engine."""

import errno
import os
import shutil
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from twisted.logger import capturedLogs

from mailhive.blobs.engine import Delete, Engine, Job, Put, Touch
from mailhive.blobs.index import OWN_FILE
from mailhive.blobs.names import digest_of, id_of
from mailhive.blobs.pack import PACK_HEADER_SIZE, RECORD_SIZE


class Handle:
    """An engine with the ways of a dict from digest to octets."""

    def __init__(self, root: Path, pack_size: int = 10_000_000):
        self.root = root
        self.engine = Engine(root, pack_size)
        self.time = 1000.0

    def put(self, *bodies: bytes) -> list[bytes]:
        jobs = [self.job(body) for body in bodies]
        self.engine.run(jobs)
        return [job.digest for job in jobs]

    def job(self, body: bytes) -> Put:
        self.time += 1
        return Put(sha256(body).digest(), len(body), self.time, body=body)

    def put_file(self, body: bytes) -> bytes:
        spool = self.engine.spools.new()
        spool.write(body)
        spool.sync()
        digest = sha256(body).digest()
        self.time += 1
        self.engine.run([Put(digest, len(body), self.time, spool=spool, own_file=True)])
        spool.close()
        return digest

    def delete(self, *digests: bytes) -> None:
        self.engine.run([Delete(digest) for digest in digests])

    def get(self, digest: bytes) -> bytes | None:
        at = self.engine._index.lookup(digest)
        if at is None:
            return None
        if at.pack == OWN_FILE:
            content = (self.engine.files / id_of(digest)).read_bytes()
        else:
            path = self.engine.packs / f"{at.pack:08}.pack"
            content = path.read_bytes()[at.start : at.start + at.length]
        assert len(content) == at.length
        return content

    def digests(self) -> set[bytes]:
        return set(self.engine._index.older_than(9e9))

    def chores(self) -> None:
        while self.engine.has_chores:
            self.engine.do_chore()

    def close(self) -> None:
        self.engine.close()

    def crash(self) -> None:
        """Let go of the files and nothing more, as a killed process does."""
        self.engine._end_compaction()
        self.engine._seal()
        self.engine._index.close()
        self.engine._lock.release(clean=False)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


def forget_index(root: Path) -> None:
    for path in root.glob("index.sqlite*"):
        path.unlink()


def only_pack(root: Path) -> Path:
    [pack] = (root / "packs").iterdir()
    return pack


def test_a_digest_has_one_id():
    digest = sha256(b"x").digest()
    name = id_of(digest)
    assert digest_of(name) == digest
    assert len(name) == 53
    others = {name[:-1] + digit for digit in "0123456789abcdefghijklmnopqrstuv"}
    assert [digest_of(other) for other in others - {name}].count(None) >= 30
    assert digest_of(name.upper()) is None


def test_ids_sort_as_digests_do():
    digests = sorted(sha256(b"%d" % n).digest() for n in range(200))
    assert sorted(map(id_of, digests)) == [id_of(digest) for digest in digests]


def test_a_tail_torn_at_every_octet(root, tmp_path):
    store = Handle(root)
    first = store.put(b"one", b"", b"three" * 20)
    end = only_pack(root).stat().st_size
    store.crash()
    shutil.copytree(root, tmp_path / "before")
    store = Handle(root)
    [last] = store.put(b"the last one" * 4)
    store.crash()
    whole = only_pack(root).read_bytes()
    for behind, lose_index in [(tmp_path / "before", False), (root, True)]:
        for cut in range(end, len(whole) + 1):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(behind, copy)
            if lose_index:
                forget_index(copy)
            only_pack(copy).write_bytes(whole[:cut])
            with capturedLogs():
                store = Handle(copy)
            survived = [last] if cut == len(whole) else []
            assert store.digests() == {*first, *survived}
            assert store.get(first[2]) == b"three" * 20
            assert only_pack(copy).stat().st_size == (len(whole) if survived else end)
            [new] = store.put(b"new")
            store.crash()
            forget_index(copy)
            with capturedLogs():
                store = Handle(copy)
            assert store.digests() == {*first, *survived, new}
            store.close()


def test_a_tail_of_which_any_octet_is_wrong(root, tmp_path):
    """Pages of an unfinished write reach the disk in any order."""
    store = Handle(root)
    first = store.put(b"one")
    end = only_pack(root).stat().st_size
    store.put(b"torn" * 3)
    store.crash()
    whole = only_pack(root).read_bytes()
    for at in range(end, len(whole)):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(root, tmp_path / "copy")
        forget_index(tmp_path / "copy")
        octets = bytearray(whole)
        octets[at] ^= 0x40
        only_pack(tmp_path / "copy").write_bytes(octets)
        with capturedLogs():
            store = Handle(tmp_path / "copy")
        # Three octets of a header are unused but checked like the others.
        assert store.digests() == set(first)
        store.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"this is no database" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: apsw.Connection(str(path)).execute("PRAGMA user_version = 99"),
    ],
    ids=["missing", "empty", "garbage", "cut", "newer"],
)
def test_the_index_is_made_again(root, damage):
    store = Handle(root, pack_size=300)
    small = store.put(*[b"%d" % i * 20 for i in range(20)])
    large = store.put_file(b"large" * 100)
    gone = store.put(b"gone")
    store.delete(gone[0], small[3])
    gone_file = store.put_file(b"gone" * 100)
    store.delete(gone_file)
    store.close()
    damage(root / "index.sqlite")
    with capturedLogs():
        store = Handle(root)
    assert store.digests() == {*small, large} - {small[3]}
    assert store.get(small[7]) == b"7" * 20
    assert store.get(large) == b"large" * 100
    store.close()


def test_an_index_that_is_behind_catches_up(root, tmp_path):
    store = Handle(root, pack_size=300)
    old = store.put(b"a", b"b" * 100, b"c")
    store.close()
    shutil.copytree(root, tmp_path / "old")
    store = Handle(root, pack_size=300)
    new = [store.put(b"%d" % i * 50)[0] for i in range(20)]
    store.delete(old[0], new[0])
    large = store.put_file(b"large")
    store.crash()
    forget_index(root)
    for path in (tmp_path / "old").glob("index.sqlite*"):
        shutil.copy(path, root)
    store = Handle(root)
    assert store.digests() == {*old[1:], *new[1:], large}
    store.close()


def test_transactions_of_the_index_need_no_sync(root):
    store = Handle(root)
    assert store.engine._index._connection.pragma("synchronous") == 1  # NORMAL
    store.close()


def test_an_index_of_other_packs_is_made_again(root, tmp_path):
    """Packs restored from a backup that is older than the index."""
    store = Handle(root)
    old = store.put(b"a")
    store.close()
    shutil.copytree(root / "packs", tmp_path / "packs")
    store = Handle(root)
    store.put(b"b")
    store.close()
    shutil.rmtree(root / "packs")
    shutil.copytree(tmp_path / "packs", root / "packs")
    with capturedLogs():
        store = Handle(root)
    assert store.digests() == set(old)
    store.close()


def test_a_pack_that_is_missing_is_not_believed_in(root, tmp_path):
    store = Handle(root, pack_size=100)
    [first] = store.put(b"a" * 50)
    [second] = store.put(b"b" * 50)
    store.close()
    lost = root / "packs" / "00000001.pack"
    shutil.move(lost, tmp_path / "lost")
    with capturedLogs() as logs:
        store = Handle(root, pack_size=100)
    assert [log["lost"] for log in logs if "lost" in log] == [1]
    assert store.digests() == {second}
    store.close()
    shutil.move(tmp_path / "lost", lost)
    with capturedLogs():
        store = Handle(root, pack_size=100)
    assert store.digests() == {first, second}
    store.close()


def test_damage_in_the_middle_costs_one_blob(root):
    store = Handle(root)
    bodies = [b"%d" % i * 500 for i in range(10)]
    digests = store.put(*bodies)
    store.close()
    forget_index(root)
    pack = only_pack(root)
    octets = bytearray(pack.read_bytes())
    octets[octets.index(bodies[4]) + 100] ^= 1
    pack.write_bytes(octets)
    store = Handle(root)
    assert store.digests() == set(digests) - {digests[4]}
    store.close()


def test_a_message_cannot_pass_for_records(root, tmp_path):
    """Even when it holds a whole pack of this kind that would delete something."""
    other = Handle(tmp_path / "other")
    [victim] = other.put(b"victim")
    other.delete(victim)
    other.close()
    forged = only_pack(tmp_path / "other").read_bytes()
    store = Handle(root)
    store.put(b"victim")
    store.put(forged)
    store.close()
    forget_index(root)
    pack = only_pack(root)
    octets = bytearray(pack.read_bytes())
    octets[octets.index(forged) - 1] ^= 1  # damage the header before it
    pack.write_bytes(octets)
    store = Handle(root)
    assert store.digests() == {victim}
    store.close()


def test_a_pack_whose_making_was_interrupted(root):
    store = Handle(root)
    [blob] = store.put(b"x")
    store.crash()
    (root / "packs" / "00000002.pack").write_bytes(b"mhpa")
    store = Handle(root)
    assert not (root / "packs" / "00000002.pack").exists()
    assert store.put(b"y", b"x")[1] == blob
    assert len(store.digests()) == 2
    store.close()


def test_a_pack_with_a_damaged_header_keeps_its_blobs(root):
    store = Handle(root)
    [blob] = store.put(b"x" * 100)
    store.close()
    pack = only_pack(root)
    octets = bytearray(pack.read_bytes())
    octets[0] ^= 1
    pack.write_bytes(octets)
    with capturedLogs():
        store = Handle(root)
    assert store.get(blob) == b"x" * 100
    [new] = store.put(b"y")
    store.close()
    with capturedLogs():
        store = Handle(root)
    assert store.digests() == {blob, new}
    store.close()


def test_a_large_file_that_a_crash_left_out(root):
    store = Handle(root)
    store.put(b"x")
    digest = sha256(b"large").digest()
    (root / "files" / id_of(digest)).write_bytes(b"large")
    (root / "files" / "notes.txt").write_bytes(b"not ours")
    store.crash()
    with capturedLogs():
        store = Handle(root)
    assert store.get(digest) == b"large"
    assert (root / "files" / "notes.txt").exists()
    store.close()


def test_a_large_blob_that_becomes_a_small_one(root):
    """Deleted and stored again in one round, after `largest-packed` was raised."""
    store = Handle(root)
    digest = store.put_file(b"medium")
    store.engine.run([Delete(digest), store.job(b"medium")])
    assert list((root / "files").iterdir()) == []
    # As if the crash had come before the file was removed.
    (root / "files" / id_of(digest)).write_bytes(b"medium")
    store.crash()
    store = Handle(root)
    assert store.get(digest) == b"medium"
    store.delete(digest)
    store.crash()
    store = Handle(root)
    assert store.digests() == set()
    store.close()


def test_a_failed_round_leaves_nothing(root, monkeypatch):
    store = Handle(root)
    [kept] = store.put(b"kept")
    size = only_pack(root).stat().st_size
    real = os.pwrite

    def half(fd, data, offset):
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) // 2], offset)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "pwrite", half)
        store.put(b"refused" * 100, b"too")
    assert only_pack(root).stat().st_size == size
    assert store.digests() == {kept}
    # A sync that failed is not asked again: the next round starts a new pack.
    with monkeypatch.context() as patch, capturedLogs(), pytest.raises(OSError, match="I/O"):
        patch.setattr(os, "fdatasync", _io_error)
        store.put(b"refused")
    [after] = store.put(b"after")
    assert store.engine._index.lookup(after).pack == 2
    store.close()
    forget_index(root)
    store = Handle(root)
    assert store.digests() == {kept, after}
    store.close()


def test_an_index_that_cannot_be_written_fails_the_round(root, monkeypatch):
    store = Handle(root)
    [kept] = store.put(b"kept")
    large = store.put_file(b"large and kept")

    def full(*_):
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.engine._index, "extend", full)
        with pytest.raises(apsw.FullError):
            store.put(b"refused")
        with pytest.raises(apsw.FullError):
            store.delete(kept, large)
        with pytest.raises(apsw.FullError):
            store.put_file(b"refused")
    assert store.get(kept) == b"kept"
    assert store.get(large) == b"large and kept"
    assert len(list((root / "files").iterdir())) == 1
    store.crash()
    forget_index(root)
    store = Handle(root)
    assert store.digests() == {kept, large}
    store.close()


def _io_error(*_):
    raise OSError(errno.EIO, "I/O error")


def test_failing_again_and_again_piles_nothing_up(root, monkeypatch):
    store = Handle(root)
    for _ in range(5):
        with monkeypatch.context() as patch, capturedLogs(), pytest.raises(OSError, match="I/O"):
            patch.setattr(os, "fdatasync", _io_error)
            store.put(b"refused")
    assert list((root / "packs").iterdir()) == []
    store.put(b"x")
    store.close()


def test_compaction_frees_space_and_keeps_what_is_alive(root):
    store = Handle(root, pack_size=5_000)
    bodies = [b"%03d" % i * 100 for i in range(100)]
    digests = store.put(*bodies[:50])
    for body in bodies[50:]:
        digests += store.put(body)
    before = sum(path.stat().st_size for path in (root / "packs").iterdir())
    dead = [digest for number, digest in enumerate(digests) if number % 4]
    for digest in dead:
        store.delete(digest)
    store.chores()
    after = sum(path.stat().st_size for path in (root / "packs").iterdir())
    assert after < before * 0.7
    alive = dict(zip(digests, bodies, strict=True))
    for digest in dead:
        del alive[digest]
    for lose_index in (False, True):
        assert store.digests() == set(alive)
        for digest, body in alive.items():
            assert store.get(digest) == body
        store.crash()
        if lose_index:
            forget_index(root)
        store = Handle(root, pack_size=5_000)
    assert store.digests() == set(alive)
    store.close()


def test_compaction_keeps_the_time_of_the_last_commit(root):
    store = Handle(root, pack_size=1_000)
    [kept, *rest] = store.put(b"kept" * 10, *[b"%d" % i * 100 for i in range(10, 20)])
    store.put(b"kept" * 10)
    refreshed = store.engine._index.lookup(kept).committed
    store.delete(*rest)
    store.chores()
    store.close()
    forget_index(root)
    store = Handle(root)
    assert store.engine._index.lookup(kept).committed == refreshed
    store.close()


def test_a_deletion_outlives_the_pack_that_records_it(root):
    """The blob's own pack is too much alive to be compacted; that of its deletion is not."""
    store = Handle(root, pack_size=2_000)
    alive = store.put(b"alive" * 400)
    [dead] = store.put(b"dead")
    store.put(b"filler" * 400)
    filler = store.put(b"filler" * 399)
    assert store.engine._index.lookup(dead).pack != store.engine._pack.number
    store.delete(dead)
    store.delete(*filler)
    store.chores()
    store.close()
    forget_index(root)
    store = Handle(root)
    assert dead not in store.digests()
    assert alive[0] in store.digests()
    store.close()


def test_a_damaged_pack_is_not_removed(root):
    store = Handle(root, pack_size=1_000)
    digests = store.put(*[b"%d" % i * 100 for i in range(10, 20)])
    pack = only_pack(root)
    octets = bytearray(pack.read_bytes())
    octets[PACK_HEADER_SIZE + RECORD_SIZE + 5] ^= 1  # in the body of the first
    pack.write_bytes(octets)
    store.delete(*digests[2:])
    with capturedLogs() as logs:
        store.chores()
        store.delete(digests[1])
        store.chores()
    assert [log["path"] for log in logs] == [str(pack)]
    assert pack.exists()
    store.close()


def test_compaction_that_finds_no_space_goes_on_later(root, monkeypatch):
    store = Handle(root, pack_size=1_000)
    digests = store.put(*[b"%d" % i * 100 for i in range(10, 20)])
    store.delete(*digests[1:])
    with monkeypatch.context() as patch, pytest.raises(OSError, match="I/O"):
        patch.setattr(os, "pwrite", _io_error)
        store.chores()
    assert not store.engine.has_chores
    store.delete(*store.put(b"another"))
    store.chores()
    assert not (root / "packs" / "00000001.pack").exists()
    assert store.get(digests[0]) == b"10" * 100
    store.close()


def test_crashes_in_the_middle_of_compaction(root, tmp_path, monkeypatch):
    """At every call that changes the disk."""
    store = Handle(root, pack_size=3_000)
    bodies = [b"%03d" % i * 50 for i in range(40)]
    digests = []
    for body in bodies:
        digests += store.put(body)
    kept = digests[::5]
    store.delete(*[digest for digest in digests if digest not in kept])
    store.crash()

    class Crash(BaseException):
        pass

    for step in range(200):
        copy = tmp_path / f"copy{step}"
        shutil.copytree(root, copy)
        calls = iter(range(step))
        with monkeypatch.context() as patch, capturedLogs():
            store = Handle(copy, pack_size=3_000)
            for owner, name in [(os, "fdatasync"), (os, "fsync"), (Path, "unlink")]:
                patch.setattr(owner, name, _crashing(getattr(owner, name), calls, Crash))
            try:
                store.chores()
                finished = True
            except Crash:
                finished = False
            patch.undo()
            store.crash()
            for lose_index in (False, True):
                if lose_index:
                    forget_index(copy)
                store = Handle(copy, pack_size=3_000)
                assert store.digests() == set(kept)
                for digest in kept:
                    assert store.get(digest) == bodies[digests.index(digest)]
                store.crash()
        shutil.rmtree(copy)
        if finished:
            break
    assert finished
    assert step > 5


def _crashing(call, calls, crash):
    def wrapper(*args, **kwargs):
        if next(calls, None) is None:
            raise crash
        return call(*args, **kwargs)

    return wrapper


BODIES = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 5).map(lambda n: b"%d" % n * 150),
)


class StoreMachine(RuleBasedStateMachine):
    """The engine does what a dict does, whatever happens in between."""

    stored = Bundle("stored")

    def __init__(self):
        super().__init__()
        self.root = Path(mkdtemp(prefix="mailhive-blobs-"))
        self.old_index = self.root / "old.sqlite"
        self.store = Handle(self.root, pack_size=600)
        self.model: dict[bytes, bytes] = {}

    @rule(target=stored, body=BODIES)
    def put(self, body):
        [digest] = self.store.put(body)
        self.model[digest] = body
        return digest

    @rule(target=stored, body=BODIES)
    def put_file(self, body):
        digest = self.store.put_file(body)
        self.model[digest] = body
        return digest

    @rule(bodies=st.lists(st.tuples(BODIES, st.booleans()), max_size=8))
    def round(self, bodies):
        jobs: list[Job] = []
        for body, delete in bodies:
            job = self.store.job(body)
            jobs.append(Delete(job.digest) if delete else job)
            if delete:
                self.model.pop(job.digest, None)
            else:
                self.model[job.digest] = body
        self.store.engine.run(jobs)

    @rule(digest=stored)
    def delete(self, digest):
        self.store.delete(digest)
        self.model.pop(digest, None)

    @rule(digest=stored, delay=st.integers(-5, 5))
    def touch(self, digest, delay):
        time = self.store.time + delay
        found = self.store.engine.run([Touch(digest, time), Delete(digest, time)])
        assert found == [digest in self.model, False]

    @rule()
    def chore(self):
        if self.store.engine.has_chores:
            self.store.engine.do_chore()

    @rule()
    def chores(self):
        self.store.chores()

    @rule()
    def look_back(self):
        """Remember the index: after a power cut it may be what it was since its last sync."""
        index = self.store.engine._index
        self.forget_old_index()
        index._connection.execute("VACUUM INTO ?", (str(self.old_index),))
        sync = index.sync
        index.sync = lambda: (sync(), self.forget_old_index())

    def forget_old_index(self):
        self.old_index.unlink(missing_ok=True)

    @rule(end=st.sampled_from(["clean", "killed", "power cut"]), lose_index=st.booleans())
    def reopen(self, end, lose_index):
        if end == "clean":
            self.store.close()
        else:
            self.store.crash()
        if lose_index or (end == "power cut" and self.old_index.exists()):
            forget_index(self.root)
        if not lose_index and end == "power cut" and self.old_index.exists():
            self.old_index.rename(self.root / "index.sqlite")
        self.forget_old_index()
        self.store = Handle(self.root, pack_size=600)

    @invariant()
    def same(self):
        assert self.store.digests() == set(self.model)
        for digest, body in self.model.items():
            assert self.store.get(digest) == body
        usage = self.store.engine._index.packs()
        for number, pack in usage.items():
            at = [self.store.engine._index.lookup(digest) for digest in self.model]
            assert pack.live == sum(a.length + RECORD_SIZE for a in at if a.pack == number)

    def teardown(self):
        self.store.crash()
        shutil.rmtree(self.root)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_a_power_cut_does_not_bring_a_large_blob_back():
    machine = StoreMachine()
    digest = machine.put_file(b"large")
    machine.look_back()
    machine.delete(digest)
    machine.reopen("power cut", lose_index=False)
    machine.same()
    machine.teardown()

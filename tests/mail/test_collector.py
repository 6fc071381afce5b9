"""The collector: what is unreferenced goes, what anything refers to never does."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mailhive.errors import BlobNotFound, TemporaryFailure
from mailhive.jmap.errors import RequestError
from mailhive.mail import collector as module
from mailhive.mail.collector import Collected, Collector
from mailhive.mail.delivery import LocalDelivery
from mailhive.model.envelope import Envelope
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

MESSAGE = b"From: a@example.com\r\nSubject: %s\r\n\r\nbody %s\r\n"
_LONG = 86_400.0


def make_collector(stores: LocalStores, **settings: Any) -> Collector:
    defaults: dict[str, Any] = {"interval": _LONG, "upload_life": _LONG, "age": 0.0, "pause": 0.0}
    clock = settings.pop("clock", stores.context.reactor)
    return Collector(stores.mail_store, stores.blob_store, clock, **(defaults | settings))


def message(name: str) -> bytes:
    return MESSAGE % (name.encode(), name.encode())


async def is_stored(stores: LocalStores, blob_id: str) -> bool:
    try:
        await stores.blob_store.read(blob_id)
    except BlobNotFound:
        return False
    return True


@pytest_twisted.ensureDeferred
async def test_only_what_nothing_refers_to_is_deleted(stores, server):
    bob = await stores.user(Principal("bob"))
    orphan = await server.store_blob(b"orphan")
    upload = await server.upload(b"upload")
    email = await server.add(message("kept"))
    theirs = await bob.upload(b"of bob")
    kept = (await server.call("Email/get", ids=[email]))["list"][0]["blobId"]
    collector = make_collector(stores)
    assert await collector.collect() == Collected(0, 1, 6)
    assert not await is_stored(stores, orphan)
    for blob_id in (upload, kept, theirs):
        assert await is_stored(stores, blob_id)
    await server.call("Email/set", destroy=[email])
    await stores.mail_store.write(server.account_id, lambda w: w.expire_uploads(9e9))
    assert (await collector.collect()).blobs == 2
    for blob_id in (upload, kept):
        assert not await is_stored(stores, blob_id)
    assert await bob.download(theirs) == b"of bob"


@pytest_twisted.ensureDeferred
async def test_one_blob_of_two_accounts(stores, server):
    bob = await stores.user(Principal("bob"))
    for user in (server, bob):
        blob_id = await user.upload(b"shared")
    collector = make_collector(stores)
    await stores.mail_store.write(server.account_id, lambda w: w.expire_uploads(9e9))
    await collector.collect()
    assert await bob.download(blob_id) == b"shared"
    await stores.mail_store.write(bob.account_id, lambda w: w.expire_uploads(9e9))
    assert await collector.collect() == Collected(0, 1, 6)


@pytest_twisted.ensureDeferred
async def test_uploads_are_forgotten_when_their_life_is_over(stores, server):
    blob_id = await server.upload(b"upload")
    assert await make_collector(stores, upload_life=3600.0).collect() == Collected(0, 0, 0)
    later = Clock()
    later.rightNow = stores.context.reactor.seconds() + 3601
    collector = make_collector(stores, upload_life=3600.0, clock=later)
    done = Deferred.fromCoroutine(collector.collect())
    while not done.called:
        later.advance(0)
        await _turn(stores)
    assert await done == Collected(1, 1, 6)
    with pytest.raises(RequestError):
        await server.download(blob_id)


@pytest_twisted.ensureDeferred
async def test_young_blobs_are_left_alone(stores, server):
    blob_id = await server.store_blob(b"young")
    assert await make_collector(stores, age=60.0).collect() == Collected(0, 0, 0)
    with stores.blob_store.hold():
        await stores.blob_store.touch(blob_id)
        assert await make_collector(stores).collect() == Collected(0, 0, 0)
    assert await make_collector(stores).collect() == Collected(0, 1, 5)


@pytest_twisted.ensureDeferred
async def test_references_go_with_their_account(stores, server):
    bob = await stores.user(Principal("bob"))
    await server.upload(b"shared")
    shared = await bob.upload(b"shared")
    own = await server.upload(b"own")
    collector = make_collector(stores)
    await stores.mail_store.delete_account(server.account_id)
    assert await collector.collect() == Collected(0, 1, 3)
    assert not await is_stored(stores, own)
    assert await bob.download(shared) == b"shared"


@pytest_twisted.ensureDeferred
async def test_more_than_one_stretch_and_page(stores, server, monkeypatch):
    monkeypatch.setattr(module, "_STRETCH", 8)
    monkeypatch.setattr(module, "_PAGE", 3)
    monkeypatch.setattr(module, "_DELETIONS", 2)
    blobs = [await server.store_blob(b"%d" % n) for n in range(50)]
    kept = {await server.upload(b"%d" % n) for n in range(0, 50, 3)}
    assert (await make_collector(stores).collect()).blobs == 50 - len(kept)
    left = [blob_id for blob_id in blobs if await is_stored(stores, blob_id)]
    assert set(left) == kept


@pytest_twisted.ensureDeferred
async def test_methods_that_add_a_reference_make_the_blob_young(stores):
    stores.directory.put(Principal("team", "group"))
    ann = await stores.user(Principal("ann", member_of=("team",)))
    team = await ann.shared("team")
    email_id = await ann.add(message("old"))
    [email] = (await ann.call("Email/get", ids=[email_id]))["list"]
    inboxes = {user.account_id: {await user.role("inbox"): True} for user in (ann, team)}
    imported = {"e": {"blobId": email["blobId"], "mailboxIds": inboxes[ann.account_id]}}
    copied = {"e": {"id": email_id, "mailboxIds": inboxes[team.account_id]}}
    between = {"fromAccountId": ann.account_id, "accountId": team.account_id}
    for method, arguments in (
        ("Email/import", {"emails": imported}),
        ("Email/copy", {**between, "create": copied}),
        ("Blob/copy", {**between, "blobIds": [email["blobId"]]}),
    ):
        with stores.blob_store.hold():
            began = stores.blob_store.horizon(0)
            assert await stores.blob_store.older_than(began) == [email["blobId"]]
            assert "error" not in await ann.call(method, **arguments)
            assert await stores.blob_store.older_than(began) == [], method


class Queue:
    """A `Referrer` that refers to what it is told."""

    def __init__(self, *blob_ids: str) -> None:
        self.entries = sorted(blob_ids)

    def blob_ids(self, after: str, until: str, limit: int) -> Deferred[list[str]]:
        return succeed([b for b in self.entries if after < b <= until][:limit])


class Down:
    """A `Referrer` that cannot answer."""

    def blob_ids(self, after: str, until: str, limit: int) -> Deferred[list[str]]:
        return fail(TemporaryFailure("the queue is down"))


@pytest_twisted.ensureDeferred
async def test_what_others_refer_to_stays(stores, server):
    queued = await server.store_blob(b"queued")
    await server.store_blob(b"orphan")
    with pytest.raises(TemporaryFailure):
        await make_collector(stores, referrers=(Queue(queued), Down())).collect()
    assert await make_collector(stores, referrers=(Queue(queued),)).collect() == Collected(0, 1, 6)
    assert await is_stored(stores, queued)


# The service


async def _turn(stores: LocalStores) -> None:
    turn: Deferred[None] = Deferred()
    stores.context.reactor.callLater(0, turn.callback, None)
    await turn


@pytest_twisted.ensureDeferred
async def test_it_collects_at_its_times_and_says_so(stores, server):
    clock = Clock()
    clock.rightNow = stores.context.reactor.seconds()
    collector = make_collector(stores, interval=3600.0, clock=clock)
    orphan = await server.store_blob(b"orphan")
    with capturedLogs() as logs:
        collector.startService()
        clock.advance(299)
        assert clock.getDelayedCalls()[0].getTime() == clock.rightNow + 1
        clock.advance(1)
        while not any("octets" in event.get("log_format", "") for event in logs):
            clock.advance(0)
            await _turn(stores)
        [event] = [e for e in logs if "octets" in e.get("log_format", "")]
        assert (event["blobs"], event["octets"], event["uploads"]) == (1, 6, 0)
        assert not await is_stored(stores, orphan)
        collector.referrers = (Down(),)
        await server.store_blob(b"another")
        clock.advance(3600)
        while not any("reason" in event for event in logs):
            clock.advance(0)
            await _turn(stores)
    await collector.stopService()
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_it_stops_in_the_middle_of_a_round(stores, server):
    clock = Clock()
    collector = make_collector(stores, interval=60.0, pause=1.0, clock=clock)
    kept = await server.upload(b"kept")
    collector.startService()
    clock.advance(60)
    for _ in range(5):
        await _turn(stores)
    await collector.stopService()
    assert clock.getDelayedCalls() == []
    assert await is_stored(stores, kept)


# Under load


class Load:
    """One who does what adds and takes away references, to few contents, in several accounts.

    `users` are the same principal in each of the accounts.
    """

    def __init__(self, stores: LocalStores, users: list[LocalUser], seed: int) -> None:
        self.stores = stores
        self.users = users
        self.random = random.Random(seed)
        self.uploads: list[tuple[LocalUser, str]] = []
        directory = stores.directory
        self.delivery = LocalDelivery(
            directory=directory,
            accounts=stores.accounts,
            blob_store=stores.blob_store,
            offload=stores.context.offload,
            now=stores.now,
        )

    async def run(self, steps: int, is_enough: Callable[[], bool]) -> None:
        """At least so many steps, until it is enough."""
        while steps > 0 or not is_enough():
            steps -= 1
            user = self.random.choice(self.users)
            content = message(str(self.random.randrange(8)))
            step = self.random.choice(
                [self.upload, self.upload, self.import_, self.import_, self.copy, self.copy,
                 self.copy_blob, self.deliver, self.deliver, self.destroy, self.destroy,
                 self.forget]
            )  # fmt: skip
            await step(user, content)
            await _turn(self.stores)

    async def upload(self, user: LocalUser, content: bytes) -> None:
        self.uploads.append((user, await user.upload(content)))

    async def import_(self, user: LocalUser, content: bytes) -> None:
        """Of a blob of long ago, which may be there or not."""
        mine = [blob for owner, blob in self.uploads if owner is user]
        if mine:
            email = {
                "blobId": self.random.choice(mine),
                "mailboxIds": {await user.role("inbox"): True},
            }
            result = await user.call("Email/import", emails={"e": email})
            if result["notCreated"]:
                assert result["notCreated"]["e"]["type"] == "invalidProperties"

    async def copy(self, user: LocalUser, content: bytes) -> None:
        """To another account, which is then the only one that refers to the blob."""
        others = [other for other in self.users if other is not user]
        target = self.random.choice(others)
        copies = {
            email_id: {"id": email_id, "mailboxIds": {await target.role("inbox"): True}}
            for email_id, _ in (await self.emails(user))[:2]
        }
        result = await user.call(
            "Email/copy",
            fromAccountId=user.account_id,
            accountId=target.account_id,
            create=copies,
            onSuccessDestroyOriginal=True,
        )
        for error in (result["notCreated"] or {}).values():
            assert error["type"] == "notFound"

    async def copy_blob(self, user: LocalUser, content: bytes) -> None:
        others = [other for other in self.users if other is not user]
        target = self.random.choice(others)
        for _, blob_id in (await self.emails(user))[:1]:
            await user.call(
                "Blob/copy",
                fromAccountId=user.account_id,
                accountId=target.account_id,
                blobIds=[blob_id],
            )
            self.uploads.append((target, blob_id))

    async def deliver(self, user: LocalUser, content: bytes) -> None:
        recipients = ("ann@example.org", "team@example.org", "desk@example.org")
        with self.stores.blob_store.hold():
            blob_id = await user.store_blob(content)
            outcomes = await self.delivery.deliver(Envelope("", recipients), blob_id)
        assert {outcome.code for outcome in outcomes} == {250}

    async def destroy(self, user: LocalUser, content: bytes) -> None:
        for other in self.users:
            if other is user or self.random.random() < 0.5:
                emails = [email_id for email_id, _ in await self.emails(other)]
                await other.call("Email/set", destroy=emails)

    async def forget(self, user: LocalUser, content: bytes) -> None:
        for other in self.users:
            await self.stores.mail_store.write(other.account_id, lambda w: w.expire_uploads(9e9))

    async def emails(self, user: LocalUser) -> list[tuple[str, str]]:
        found = await user.call("Email/get", ids=None, properties=["blobId"])
        return [(email["id"], email["blobId"]) for email in found["list"]]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_that_is_referred_to_is_collected_under_load(stores, seed):
    groups = ("team", "desk")
    for name in groups:
        stores.directory.put(Principal(name, "group", emails=(f"{name}@example.org",)))
    ann = await stores.user(Principal("ann", emails=("ann@example.org",), member_of=groups))
    users = [ann, *[await ann.shared(group) for group in groups]]
    collector = make_collector(stores)
    collected = 0
    finished = False

    async def collect() -> None:
        nonlocal collected
        while not finished:
            collected += (await collector.collect()).blobs
            await _check(stores, users)

    collecting = [Deferred.fromCoroutine(collect()) for _ in range(2)]
    loads = [Load(stores, users, seed * 10 + number) for number in range(3)]

    def is_enough() -> bool:
        return collected >= 10 or any(done.called for done in collecting)  # which failed then

    running = [load.run(60, is_enough) for load in loads]
    await gatherResults([Deferred.fromCoroutine(load) for load in running])
    finished = True
    await gatherResults(collecting)
    await _check_all(stores, users)
    for user in users:
        await stores.mail_store.delete_account(user.account_id)
    await collector.collect()
    assert await stores.blob_store.older_than(9e9) == []


async def _check(stores: LocalStores, users: list[LocalUser]) -> None:
    """The message of every Email is there, for as long as the Email is."""
    for user in users:
        store, account = stores.mail_store, user.account_id
        for blob_id in await store.read(account, lambda r: r.blob_ids("", "c", 1000)):
            before, stored, after = (
                await store.read(account, lambda r, b=blob_id: r.email_with_blob(b)),
                await is_stored(stores, blob_id),
                await store.read(account, lambda r, b=blob_id: r.email_with_blob(b)),
            )
            assert stored or before is None or before != after, blob_id


async def _check_all(stores: LocalStores, users: list[LocalUser]) -> None:
    """The same of uploads too, once all is quiet."""
    for user in users:
        ids = await stores.mail_store.read(user.account_id, lambda r: r.blob_ids("", "c", 1000))
        for blob_id in ids:
            assert await is_stored(stores, blob_id)

"""Which server is asked, and when again after it failed."""

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from mailhive.directory.ldap.connection import ServerFailed
from mailhive.directory.ldap.pool import Pool, Server
from mailhive.directory.ldap.url import LdapUrl
from mailhive.errors import TemporaryFailure


def server(clock, url="ldap://127.0.0.1:1", **values):
    values = {"largest": 1000, "timeout": 1.0, "back_off": 10.0, **values}
    return Server(url=LdapUrl.parse(url), starttls=False, trust_root=None, reactor=clock, **values)


def test_pauses_become_longer():
    clock = Clock()
    one = server(clock)
    pauses = []
    for _ in range(6):
        one.failed(one.take(), "it broke")
        began = clock.seconds()
        while one.take() is None:
            clock.advance(0.25)
        pauses.append(clock.seconds() - began)
        assert one.take() is None  # one request at a time tries it
        clock.advance(100)
    assert pauses == [1, 2, 4, 8, 10, 10]
    one.worked()
    assert one.take() == one.take() == 0


def test_failures_at_once_count_once():
    clock = Clock()
    one = server(clock)
    taken = [one.take() for _ in range(50)]
    for each in taken:
        one.failed(each, "it broke")
    assert one.take() is None
    clock.advance(1)
    assert one.take() is not None


class FakeConnection:
    """What a request may be made of."""

    def __init__(self):
        self.is_usable, self.ended = True, []

    def abort(self, why):
        self.close()

    def close(self):
        self.is_usable = False
        for deferred in self.ended:
            deferred.callback(None)

    def closed(self):
        deferred = Deferred()
        self.ended.append(deferred)
        if not self.is_usable:
            deferred.callback(None)
        return deferred


class FakeServer(Server):
    """Connections at once, unless `down`."""

    async def connect(self):
        self.tried.append(self.url.host)
        if self.url.host in self.down:
            raise ServerFailed("no connection", silent=True)
        return FakeConnection()


@pytest.fixture
def pool():
    clock = Clock()
    made = Pool(
        [
            FakeServer(LdapUrl.parse(f"ldap://{name}"), False, None, 1000, 5.0, 10.0, clock)
            for name in ("a", "b")
        ],
        2,
        1.0,
        clock,
        lambda _: done(),
    )
    FakeServer.tried, FakeServer.down = [], set()
    return made


def done(result=None):
    deferred = Deferred()
    deferred.callback(result)
    return deferred


@ensureDeferred
async def test_connections_are_used_again(pool):
    for _ in range(3):
        assert await pool.run(lambda _: done("found")) == "found"
        pool.reactor.advance(0)
    assert FakeServer.tried == ["a"]
    pool.reactor.advance(61)  # a firewall may have forgotten it
    await pool.run(lambda _: done())
    assert FakeServer.tried == ["a", "a"]
    await pool.close()


@ensureDeferred
async def test_the_second_server_and_back(pool):
    FakeServer.down = {"a"}
    for _ in range(3):
        await pool.run(lambda _: done())
        pool.reactor.advance(0)
    assert FakeServer.tried == ["a", "b"]
    FakeServer.down = set()
    pool.reactor.advance(1)
    await pool.run(lambda _: done())
    assert FakeServer.tried == ["a", "b", "a"]
    FakeServer.down = {"a", "b"}
    await pool.close()


@ensureDeferred
async def test_no_server_is_left(pool):
    FakeServer.down = {"a", "b"}
    for _ in range(3):
        with pytest.raises(TemporaryFailure):
            await pool.run(lambda _: done())
        pool.reactor.advance(0)
    assert FakeServer.tried == ["a", "b"]


@ensureDeferred
async def test_so_many_may_wait(pool):
    held = [Deferred(), Deferred()]
    running = [Deferred.fromCoroutine(pool.run(lambda _, d=d: d)) for d in held]
    waiting = [Deferred.fromCoroutine(pool.run(lambda _: done(1))) for _ in range(200)]
    with pytest.raises(TemporaryFailure):
        await pool.run(lambda _: done())
    waiting[0].addErrback(lambda _: None)
    waiting.pop(0).cancel()
    for deferred in held:
        deferred.callback("held")
    pool.reactor.pump([0] * 200)
    assert await gatherResults(running) == ["held", "held"]
    assert await gatherResults(waiting) == [1] * 199
    await pool.close()


@ensureDeferred
async def test_waiting_ends(pool):
    running = [Deferred.fromCoroutine(pool.run(lambda _: Deferred())) for _ in range(2)]
    late = Deferred.fromCoroutine(pool.run(lambda _: done()))
    pool.reactor.advance(1)
    with pytest.raises(TemporaryFailure):
        await late
    assert not any(deferred.called for deferred in running)
    pool.reactor.pump([4, 5])  # at one server, and at the other
    for deferred in running:
        with pytest.raises(TemporaryFailure):
            await deferred
    pool.reactor.advance(1)
    assert await pool.run(lambda _: done(2)) == 2
    await pool.close()


@ensureDeferred
async def test_all_that_wait_fail_together(pool):
    FakeServer.down = {"a", "b"}
    running = [Deferred.fromCoroutine(pool.run(lambda _: done())) for _ in range(200)]
    pool.reactor.pump([0] * 200)
    for deferred in running:
        with pytest.raises(TemporaryFailure):
            await deferred


@ensureDeferred
async def test_a_request_that_fails_is_not_the_servers_fault(pool):
    FakeServer.down = {"a"}
    await pool.run(lambda _: done())
    FakeServer.down = set()
    pool.reactor.advance(1)
    failing = Deferred()
    failing.errback(TemporaryFailure("an answer that is too long"))
    with pytest.raises(TemporaryFailure):
        await pool.run(lambda _: failing)
    pool.reactor.advance(0)
    assert await pool.run(lambda _: done(3)) == 3
    assert FakeServer.tried == ["a", "b", "a", "a"]
    await pool.close()

"""Keys from a URL: fetched when needed, replaced when they are, and not without end."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from mailhive.auth.errors import AuthenticationFailed
from mailhive.auth.jwt import JwtStrategy
from mailhive.auth.keys import verified
from mailhive.auth.sources import PAUSE, STALE, KeySource
from mailhive.errors import TemporaryFailure

FIRST, SECOND = (ECKey.generate_key("P-256") for _ in range(2))
CACHE = 900.0


def sign(key, kid=None):
    header = {"alg": "ES256"} if kid is None else {"alg": "ES256", "kid": kid}
    return jwt.encode(header, {}, key)


def publish(provider, **keys):
    jwks = [{**key.as_dict(private=False), "kid": kid} for kid, key in keys.items()]
    provider.answers["/keys"] = 200, {"keys": jwks}


@pytest.fixture
def clock():
    made = Clock()
    made.advance(1_800_000_000)
    return made


@pytest.fixture
def source(provider, fetcher, clock):
    return KeySource(f"{provider.url}/keys", fetcher, clock.seconds, CACHE)


async def knows(source, key, kid=None):
    found = await source.keys("ES256", kid)
    return verified(sign(key, kid), "ES256", found) is not None


@ensureDeferred
async def test_keys_are_fetched_once_and_kept(provider, source, clock):
    publish(provider, a=FIRST)
    for kid in ("a", None, "a"):
        assert await knows(source, FIRST, kid)
    clock.advance(CACHE)
    assert await knows(source, FIRST, "a")
    assert provider.count("/keys") == 1
    clock.advance(1)
    assert await knows(source, FIRST, "a")
    assert provider.count("/keys") == 2


@ensureDeferred
async def test_rotation(provider, source, clock):
    publish(provider, a=FIRST)
    assert await knows(source, FIRST, "a")
    publish(provider, b=SECOND)
    assert not await knows(source, SECOND, "b")  # asked a moment ago
    clock.advance(PAUSE)
    assert await knows(source, SECOND, "b")
    assert not await knows(source, FIRST, "a")
    assert provider.count("/keys") == 2


@ensureDeferred
async def test_invented_names_do_not_make_us_ask_without_end(provider, source, clock):
    publish(provider, a=FIRST)
    for number in range(100):
        assert await source.keys("ES256", f"invented{number}") == ()
    assert provider.count("/keys") == 1
    clock.advance(PAUSE)
    for number in range(100):
        assert await source.keys("ES256", f"invented{number}") == ()
    assert provider.count("/keys") == 2


@ensureDeferred
async def test_all_who_wait_share_one_fetch(provider, source):
    publish(provider, a=FIRST)
    provider.hold = Deferred()
    asking = [Deferred.fromCoroutine(knows(source, FIRST, "a")) for _ in range(20)]
    given_up = Deferred.fromCoroutine(knows(source, FIRST, "a"))
    given_up.addErrback(lambda _: None)
    given_up.cancel()
    provider.hold.callback(None)
    assert all(await gatherResults(asking))
    assert provider.count("/keys") == 1


@pytest.mark.parametrize(
    "answer", [(500, b""), (404, b""), (200, b"junk"), (200, {"keys": []}), (200, b"x" * 2_000_000)]
)
@ensureDeferred
async def test_a_publisher_who_fails(provider, source, clock, answer):
    provider.answers["/keys"] = answer
    for kid in ("a", None):
        with pytest.raises(TemporaryFailure):
            await source.keys("ES256", kid)
    assert provider.count("/keys") == 1  # asked a moment ago
    publish(provider, a=FIRST)
    clock.advance(PAUSE)
    assert await knows(source, FIRST, "a")
    provider.answers["/keys"] = answer
    clock.advance(CACHE + 1)
    assert await knows(source, FIRST, "a")  # as nobody says otherwise
    with pytest.raises(TemporaryFailure):
        await source.keys("ES256", "b")
    clock.advance(STALE)
    with pytest.raises(TemporaryFailure):
        await source.keys("ES256", "a")


@ensureDeferred
async def test_a_publisher_who_is_not_there(provider, source):
    await provider.port.stopListening()
    with pytest.raises(TemporaryFailure):
        await source.keys("ES256", "a")


@ensureDeferred
async def test_one_source_may_fail_while_another_knows(provider, fetcher, clock):
    publish(provider, a=FIRST)
    sources = [
        KeySource(f"{provider.url}/{path}", fetcher, clock.seconds, CACHE)
        for path in ("nothing", "keys")
    ]
    strategy = JwtStrategy(None, clock.seconds, sources=sources)
    with pytest.raises(AuthenticationFailed, match="never expires"):
        await strategy.bearer(sign(FIRST, "a"), "::1", "jmap")
    with pytest.raises(TemporaryFailure):
        await strategy.bearer(sign(SECOND, "b"), "::1", "jmap")


@ensureDeferred
async def test_a_pem_file_at_a_url(provider, source):
    provider.answers["/keys"] = 200, FIRST.as_pem(private=False)
    assert await knows(source, FIRST, "any")
    assert json.dumps(provider.asked[0][1]).count("mailhive") == 1  # says who asks

"""Basic authentication, and strategies in order."""

from base64 import b64encode
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred
from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from mailhive.auth.basic import PROVIDER, BasicSettings, parse_basic
from mailhive.auth.chain import Chain
from mailhive.auth.errors import (
    AuthenticationFailed,
    NoAccount,
    TooManyAttempts,
    Unauthorized,
)
from mailhive.auth.throttle import Throttle
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal
from mailhive.testing.conformance.authentication import AuthenticationConformance, Headers


def basic(text: str | bytes) -> dict[str, str]:
    octets = text.encode() if isinstance(text, str) else text
    return {"Authorization": "Basic " + b64encode(octets).decode()}


def make_strategy(directory=None, **settings):
    from twisted.internet import reactor

    directory = directory or MemoryDirectory(
        MemorySettings(
            (
                PrincipalSettings("alice", secret="pä:ss", email=("alice@example.org",)),
                PrincipalSettings("bob", secret="open"),
            )
        ),
        deferToThread,
        reactor.seconds,
    )
    context = SimpleNamespace(directory=directory, throttle=Throttle(Clock().seconds))
    return PROVIDER.build(BasicSettings(**settings), context)


@pytest.fixture
def strategy():
    return make_strategy()


MALFORMED = [
    {"Authorization": "Basic"},
    {"Authorization": "basic "},
    {"Authorization": "Basic !!!!"},
    {"Authorization": "Basic YWxpY2U6eA"},
    {"Authorization": "Basic YWxp Y2U6eA=="},
    {"Authorization": "Basic YWxpY2U6eA==, Basic YWxpY2U6eA=="},
    {"Authorization": "Basic \xe9\xe9\xe9="},
    basic("no colon"),
    basic(""),
    basic(":"),
    basic(":nobody's"),
    basic(b"alice:p\xe4:ss"),
    basic("alice\0:x"),
    basic("alice:x\r\n"),
    basic("alice:" + "x" * 100_000),
    basic("x" * 100_000),
]


class TestBasic(AuthenticationConformance):
    principal = Principal("alice", emails=("alice@example.org",))
    right = basic("alice:pä:ss")
    wrong = (basic("alice:wrong"), basic("nobody:pä:ss"), basic("bob:"), *MALFORMED)
    foreign = (
        {"Authorization": ""},
        {"Authorization": "Bearer YWxpY2U6eA=="},
        {"Authorization": "Basics YWxpY2U6eA=="},
        {"Authorization": "Negotiate"},
        {"X-User": "alice"},
    )

    @pytest.fixture
    def strategy(self):
        return make_strategy()


def test_challenge():
    assert make_strategy(realm="my mail").challenge == 'Basic realm="my mail", charset="UTF-8"'
    for realm in ("", 'a"b', "a\\b", "ü", "a\nb"):
        with pytest.raises(ValueError, match="cannot be a realm; allowed are"):
            BasicSettings(realm=realm)


@pytest.mark.parametrize("scheme", ["basic", "BASIC", " Basic "])
@ensureDeferred
async def test_the_scheme_is_case_insensitive(strategy, scheme):
    headers = {"authorization": f"{scheme} {b64encode('alice:pä:ss'.encode()).decode()}"}
    assert (await strategy.authenticate(Headers(headers), "::1")).name == "alice"


@given(st.text())
def test_any_credentials_parse_or_fail(text):
    try:
        login, password = parse_basic(text)
    except AuthenticationFailed as error:
        assert str(error) in {
            "the credentials are too long",
            "the credentials are not base64 of UTF-8",
            "the credentials are not a login and a password",
        }
    else:
        assert b64encode(f"{login}:{password}".encode()).decode() == text


@given(st.binary(max_size=40))
def test_any_octets_parse_or_fail(octets):
    try:
        login, password = parse_basic(b64encode(octets).decode())
    except AuthenticationFailed:
        return
    assert f"{login}:{password}".encode() == octets


@ensureDeferred
async def test_guessing_is_slowed_down(strategy):
    for guess in range(5):
        with pytest.raises(AuthenticationFailed):
            await strategy.authenticate(Headers(basic(f"alice:{guess}")), "192.0.2.1")
    with capturedLogs(), pytest.raises(TooManyAttempts) as caught:
        await strategy.authenticate(Headers(basic("alice:pä:ss")), "192.0.2.1")
    assert caught.value.retry_after == 1


@ensureDeferred
async def test_nothing_secret_is_logged(strategy):
    with capturedLogs() as events:
        for guess in range(8):
            headers = Headers(basic(f"alice:s3cret{guess}"))
            with pytest.raises((AuthenticationFailed, TooManyAttempts)):
                await strategy.authenticate(headers, "192.0.2.1")
    assert [event["login"] for event in events] == ["alice"] * 8
    assert "s3cret" not in repr(events)
    assert b64encode(b"alice:s3cret").decode()[:10] not in repr(events)


@ensureDeferred
async def test_a_directory_that_cannot_answer_counts_for_nothing():
    down = SimpleNamespace(authenticate=lambda login, password: fail(TemporaryFailure("down")))
    strategy = make_strategy(down)
    for guess in range(30):
        with pytest.raises(TemporaryFailure):
            await strategy.authenticate(Headers(basic(f"alice:{guess}")), "192.0.2.1")


class Fixed:
    """A strategy that answers the same always."""

    def __init__(self, challenge, answer):
        self.challenge = challenge
        self.answer = answer
        self.asked = 0

    def authenticate(self, headers, peer):
        self.asked += 1
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


@ensureDeferred
async def test_the_first_that_knows_decides():
    alice = Principal("alice")
    silent, knows, never = Fixed("A", None), Fixed("B", alice), Fixed("C", None)
    grant = await Chain([silent, knows, never]).authenticate(Headers({}), "::1")
    assert grant.principal == alice
    assert (silent.asked, knows.asked, never.asked) == (1, 1, 0)


@ensureDeferred
async def test_nobody_knows():
    chain = Chain([Fixed("A", None), Fixed(None, None), Fixed("B", None), Fixed("A", None)])
    with pytest.raises(Unauthorized) as caught:
        await chain.authenticate(Headers({}), "::1")
    assert caught.value.challenges == ("A", "B")


@ensureDeferred
async def test_wrong_credentials_of_one_strategy_may_be_right_for_another():
    wrong, knows = Fixed("A", AuthenticationFailed("x")), Fixed("B", Principal("alice"))
    grant = await Chain([wrong, knows]).authenticate(Headers({}), "::1")
    assert grant.principal == Principal("alice")
    with pytest.raises(Unauthorized) as caught:
        await Chain([wrong, Fixed("B", None)]).authenticate(Headers({}), "::1")
    assert caught.value.challenges == ("A", "B")


UNDECIDED = [TemporaryFailure("down"), TooManyAttempts(5), NoAccount("nobody")]


@pytest.mark.parametrize("error", UNDECIDED)
@ensureDeferred
async def test_what_cannot_be_decided(error):
    undecided = Fixed("A", error)
    for others in ([], [Fixed("B", None)], [Fixed("B", AuthenticationFailed("x"))]):
        for chain in ([undecided, *others], [*others, undecided]):
            with pytest.raises(type(error)):
                await Chain(chain).authenticate(Headers({}), "::1")
    chain = Chain([undecided, Fixed("B", Principal("alice"))])
    assert (await chain.authenticate(Headers({}), "::1")).principal.name == "alice"


@ensureDeferred
async def test_the_challenge_that_says_more():
    chain = Chain(
        [
            Fixed('Bearer realm="x"', AuthenticationFailed("x", 'Bearer realm="x", error="y"')),
            Fixed('Bearer realm="x"', None),
            Fixed('Bearer realm="xy"', None),
        ]
    )
    with capturedLogs() as events, pytest.raises(Unauthorized) as caught:
        await chain.authenticate(Headers({}), "::1")
    assert caught.value.challenges == ('Bearer realm="x", error="y"', 'Bearer realm="xy"')
    assert [(event["peer"], event["why"]) for event in events] == [("::1", "x")]


@ensureDeferred
async def test_who_is_not_enabled_is_not_let_in():
    with pytest.raises(Unauthorized):
        chain = Chain([Fixed("A", Principal("alice", enabled=False))])
        await chain.authenticate(Headers({}), "::1")


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (Principal("alice", description="changed"), True),
        (Principal("alice", enabled=False), False),
        (Principal("bob"), False),
        (None, False),
        (AuthenticationFailed("revoked"), False),
        (NoAccount("gone"), False),
    ],
)
@ensureDeferred
async def test_whether_a_login_still_holds(answer, valid):
    strategy = Fixed("A", Principal("alice"))
    grant = await Chain([strategy]).authenticate(Headers({}), "::1")
    strategy.answer = answer
    assert await grant.renewed() == (answer if valid else None)


@pytest.mark.parametrize("error", [TemporaryFailure("down"), TooManyAttempts(5)])
@ensureDeferred
async def test_nobody_can_tell_whether_a_login_still_holds(error):
    strategy = Fixed("A", Principal("alice"))
    grant = await Chain([strategy]).authenticate(Headers({}), "::1")
    strategy.answer = error
    with pytest.raises(TemporaryFailure):
        await grant.renewed()

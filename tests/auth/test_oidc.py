"""An identity provider: what it says of a token, how long that is believed, what if it fails."""

from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mailhive.auth.chain import Chain
from mailhive.auth.errors import AuthenticationFailed, NoAccount, TooManyAttempts
from mailhive.auth.oidc import PROVIDER, WRONG, OidcSettings
from mailhive.auth.throttle import Throttle
from mailhive.auth.users import Users
from mailhive.config.load import load
from mailhive.config.problems import ConfigError
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.errors import TemporaryFailure
from mailhive.model.principal import Principal
from mailhive.testing.conformance.authentication import AuthenticationConformance, Headers

NOW = 1_800_000_000
ALICE = Principal("alice", emails=("alice@example.org",))
GOOD = {
    "active": True,
    "sub": "0815",
    "email": "alice@example.org",
    "aud": "mail",
    "exp": NOW + 1000,
    "token_type": "Bearer",
}


@pytest.fixture
def clock():
    made = Clock()
    made.advance(NOW)
    return made


@pytest.fixture
def make(provider, fetcher, clock):
    """A strategy that asks the provider, which knows the token `good`."""

    def build(**settings):
        directory = MemoryDirectory(
            MemorySettings((PrincipalSettings("alice", email=("alice@example.org",)),)),
            None,
            clock.seconds,
        )
        context = SimpleNamespace(
            users=Users(directory, provisioning=True),
            throttle=Throttle(clock.seconds),
            fetcher=fetcher,
            reactor=clock,
        )
        chosen = OidcSettings(issuer=provider.url, **settings)
        assert list(chosen.problems()) == []
        return PROVIDER.build(chosen, context)

    provider.answers = {
        "/.well-known/openid-configuration": (
            200,
            {
                "issuer": provider.url,
                "introspection_endpoint": f"{provider.url}/introspect",
                "userinfo_endpoint": f"{provider.url}/me",
            },
        ),
        "/introspect": lambda _, body: (
            200,
            GOOD if parse_qs(body)["token"] == ["good"] else {"active": False},
        ),
        "/me": lambda headers, _: (
            (200, {"sub": "0815", "email": "alice@example.org"})
            if headers.get("authorization") == "Bearer good"
            else (401, b"")
        ),
    }
    return build


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class TestIntrospection(AuthenticationConformance):
    principal = ALICE
    right = bearer("good")
    wrong = (bearer("bad"), bearer("a? b?"), bearer(""), bearer("x" * 100_000), bearer("\xe9"))
    foreign = ({"Authorization": "Basic YWxpY2U6eA=="}, {"X-User": "alice"})

    @pytest.fixture
    def strategy(self, make):
        return make(client_id="mailhive", client_secret="s", audience=("mail",))


class TestUserinfo(AuthenticationConformance):
    principal = ALICE
    right = bearer("good")
    wrong = (bearer("bad"), bearer("a? b?"))
    foreign = ({"Authorization": "Basic YWxpY2U6eA=="}, {"X-User": "alice"})

    @pytest.fixture
    def strategy(self, make):
        return make()


def ask(strategy, token="good"):
    return strategy.bearer(token, "192.0.2.1", "jmap")


@ensureDeferred
async def test_how_the_provider_is_asked(make, provider):
    strategy = make(client_id="mail hive", client_secret="a:b/ü")
    assert await ask(strategy) == ALICE
    [_, (path, headers, body)] = provider.asked
    assert path == "/introspect"
    # RFC 6749 §2.3.1: both are form-encoded first
    assert headers["authorization"] == "Basic bWFpbCtoaXZlOmElM0FiJTJGJUMzJUJD"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body) == {"token": ["good"], "token_type_hint": ["access_token"]}


@ensureDeferred
async def test_a_provider_that_wants_the_secret_in_the_body(make, provider):
    status, document = provider.answers["/.well-known/openid-configuration"]
    methods = {"introspection_endpoint_auth_methods_supported": ["client_secret_post"]}
    provider.answers["/.well-known/openid-configuration"] = status, document | methods
    assert await ask(make(client_id="m", client_secret="s")) == ALICE
    form = parse_qs(provider.asked[-1][2])
    assert (form["client_id"], form["client_secret"]) == (["m"], ["s"])
    assert "authorization" not in provider.asked[-1][1]


@ensureDeferred
async def test_endpoints_that_are_configured_are_not_discovered(make, provider):
    del provider.answers["/.well-known/openid-configuration"]
    provider.answers["/elsewhere"] = provider.answers["/me"]
    strategy = make(userinfo=f"{provider.url}/elsewhere")
    assert await ask(strategy) == ALICE
    assert [path for path, _, _ in provider.asked] == ["/elsewhere"]


@ensureDeferred
async def test_a_claim_that_only_the_userinfo_has(make, provider):
    told = {name: value for name, value in GOOD.items() if name != "email"}
    provider.answers["/introspect"] = 200, told
    assert await ask(make(client_id="m")) == ALICE
    provider.answers["/me"] = 200, {"sub": "4711", "email": "alice@example.org"}
    with pytest.raises(AuthenticationFailed, match="do not belong together"):
        await ask(make(client_id="m"))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"active": False}, "not active"),
        ({"aud": "another"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"exp": NOW}, "expired"),
        ({"exp": "soon"}, "no time"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"token_type": "refresh_token"}, "no access token"),
        ({"token_type": "DPoP"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
        ({"email": ""}, "does not say who"),
        ({"email": ["alice"]}, "does not say who"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "false"}, "not verified"),
    ],
)
@ensureDeferred
async def test_what_is_said_of_tokens_that_are_not_good(make, provider, changed, why):
    provider.answers["/introspect"] = 200, GOOD | changed
    strategy = make(client_id="m", client_secret="s", audience=("mail", "jmap"))
    with pytest.raises(AuthenticationFailed, match=why) as caught:
        await ask(strategy)
    assert 'error="invalid_token"' in caught.value.challenge


@ensureDeferred
async def test_a_provider_whose_clock_is_ahead(make, provider):
    provider.answers["/introspect"] = 200, GOOD | {"iat": NOW + 2, "nbf": NOW + 2}
    assert await ask(make(client_id="m")) == ALICE


@pytest.mark.parametrize("error", ["invalid_token", "unsupported_token_type"])
@ensureDeferred
async def test_what_is_no_token_that_can_be_introspected(make, provider, error):
    provider.answers["/introspect"] = 400, {"error": error}
    with pytest.raises(AuthenticationFailed, match="not active"):
        await ask(make(client_id="m"))


@ensureDeferred
async def test_who_is_nobody_here(make, provider):
    provider.answers["/introspect"] = 200, GOOD | {"email": "zoe@example.org"}
    with pytest.raises(NoAccount):
        await ask(make(client_id="m"))


@ensureDeferred
async def test_another_claim(make, provider):
    provider.answers["/introspect"] = 200, GOOD | {"username": "alice"}
    assert await ask(make(client_id="m", claim="username")) == ALICE


@ensureDeferred
async def test_what_was_said_is_believed_for_a_while(make, provider, clock):
    strategy = make(client_id="m", cache_time=300.0)
    for _ in range(3):
        assert await ask(strategy) == ALICE
    clock.advance(299)
    assert await ask(strategy) == ALICE
    assert provider.count("/introspect") == 1
    provider.answers["/introspect"] = 200, {"active": False}
    clock.advance(1)
    with pytest.raises(AuthenticationFailed):
        await ask(strategy)


@ensureDeferred
async def test_but_not_longer_than_the_token_lives(make, provider, clock):
    provider.answers["/introspect"] = 200, GOOD | {"exp": NOW + 10}
    strategy = make(client_id="m", cache_time=300.0)
    assert await ask(strategy) == ALICE
    clock.advance(9.9)
    assert await ask(strategy) == ALICE
    clock.advance(0.1)
    with pytest.raises(AuthenticationFailed, match="expired"):
        await ask(strategy)


@ensureDeferred
async def test_a_token_that_is_not_good_is_remembered_shortly(make, provider, clock):
    strategy = make(client_id="m")
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await ask(strategy, "soon")
    assert provider.count("/introspect") == 1
    provider.answers["/introspect"] = 200, GOOD
    clock.advance(WRONG)
    assert await ask(strategy, "soon") == ALICE


@ensureDeferred
async def test_few_tokens_are_remembered(make, provider):
    provider.answers["/introspect"] = 200, GOOD
    strategy = make(client_id="m", cache_size=2)
    for token in ("a", "b", "a", "c", "a"):
        assert await ask(strategy, token) == ALICE
    assert provider.count("/introspect") == 3
    assert await ask(strategy, "b") == ALICE
    assert provider.count("/introspect") == 4
    assert len(strategy._said) == 2


@ensureDeferred
async def test_all_who_wait_share_one_question(make, provider):
    provider.hold = Deferred()
    strategy = make(client_id="m")
    asking = [ask(strategy) for _ in range(20)]
    provider.hold.callback(None)
    assert await gatherResults(asking) == [ALICE] * 20
    assert provider.count("/introspect") == provider.count("/.well-known/openid-configuration") == 1


@ensureDeferred
async def test_who_tries_tokens_is_slowed_down(make, provider):
    strategy = make(client_id="m")
    for number in range(20):
        with pytest.raises(AuthenticationFailed):
            await ask(strategy, f"guess{number}")
    with pytest.raises(TooManyAttempts):
        await ask(strategy, "another")
    assert provider.count("/introspect") == 20
    assert await strategy.bearer("good", "198.51.100.1", "jmap") == ALICE


FAILURES = [(500, b""), (401, b""), (200, b"junk"), (200, b"[]"), (200, b"[" * 100_000)]
FAILURES += [
    (200, b'{"active": "yes"}'),
    (200, b" " * 300_000),
    (302, b""),
    (400, {"error": "invalid_client"}),
]


@pytest.mark.parametrize("answer", FAILURES)
@ensureDeferred
async def test_a_provider_that_fails_lets_nobody_in(make, provider, clock, answer):
    strategy = make(client_id="m", cache_time=300.0)
    assert await ask(strategy) == ALICE
    was = provider.answers["/introspect"]
    provider.answers["/introspect"] = answer
    with capturedLogs() as events:
        for _ in range(30):  # counts for no attempt
            with pytest.raises(TemporaryFailure):
                await ask(strategy, "fresh")
    assert "The identity provider fails" in events[-1]["log_format"]
    assert "fresh" not in repr(events)
    assert await ask(strategy) == ALICE  # is remembered
    clock.advance(300)
    with pytest.raises(TemporaryFailure):
        await ask(strategy)
    provider.answers["/introspect"] = was
    assert await ask(strategy) == ALICE


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"junk"), (200, {"issuer": "https://other.example"}), (200, {})]
)
@ensureDeferred
async def test_discovery_that_fails_lets_nobody_in(make, provider, answer):
    path = "/.well-known/openid-configuration"
    was, provider.answers[path] = provider.answers[path], answer
    strategy = make()
    with pytest.raises(TemporaryFailure):
        await ask(strategy)
    provider.answers[path] = was
    assert await ask(strategy) == ALICE


@ensureDeferred
async def test_a_provider_that_is_not_there(make, provider):
    strategy = make()
    await provider.port.stopListening()
    with pytest.raises(TemporaryFailure):
        await ask(strategy)


@ensureDeferred
async def test_a_login_that_lasts_ends_with_its_token(make, provider, clock):
    strategy = make(client_id="m", cache_time=60.0)
    grant = await Chain([strategy]).authenticate(Headers(bearer("good")), "::1")
    assert await grant.renewed() == ALICE
    provider.answers["/introspect"] = 200, {"active": False}
    assert await grant.renewed() == ALICE
    clock.advance(60)
    assert await grant.renewed() is None


CONFIG = """\
[server.listener.jmap]
bind = "127.0.0.1:8080"
protocol = "jmap"
[jmap]
directory = "m"
authentication = "oidc"
[directory.m]
type = "memory"
[jmap.oidc]
"""


@pytest.mark.parametrize(
    ("keys", "where", "words"),
    [
        ("", "jmap.oidc.issuer", "is missing"),
        ("issuer = 'id.example'", "jmap.oidc.issuer", 'allowed is "https://…"'),
        ("issuer = 'https://i'\naudience = 'x'", "jmap.oidc.audience", "beside client-id"),
        ("issuer = 'https://i'\nclient-secret = 'x'", "jmap.oidc.client-secret", "beside client"),
        ("issuer = 'https://i'\nintrospection = 'https://x'", "jmap.oidc.introspection", "beside"),
        ("issuer = 'https://i'\ncache-size = 0", "jmap.oidc.cache-size", "at least 1"),
        ("issuer = 'https://i'\ncache-time = '5M'", "jmap.oidc.cache-time", "is not a unit"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, keys, where, words):
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG + keys)
    with pytest.raises(ConfigError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert where in str(problem)
    assert words in str(problem)


def test_the_configuration(tmp_path):
    (tmp_path / "secret").write_text("s3cret\n")
    path = tmp_path / "mailhive.toml"
    path.write_text(
        CONFIG + 'issuer = "https://id.example"\nclient-id = "m"\nclient-secret-file = "secret"\n'
    )
    loaded = load(path)
    settings = loaded.settings.jmap.strategies["oidc"]
    assert settings.client_secret == "s3cret"
    assert (settings.cache_time, settings.cache_size, settings.claim) == (300, 10_000, "email")
    [warning] = loaded.warnings
    assert "made for other programs" in str(warning)
    assert "s3cret" not in repr(settings)

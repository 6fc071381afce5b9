"""Users whom a proxy names: who is believed, and what is refused."""

from types import SimpleNamespace

import pytest
from pytest_twisted import ensureDeferred
from twisted.logger import capturedLogs

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.auth.trusted_header import PROVIDER, TrustedHeaderSettings
from mailhive.auth.users import Users
from mailhive.config.load import load
from mailhive.config.problems import ConfigError
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.model.networks import Networks
from mailhive.model.principal import Principal
from mailhive.testing.conformance.authentication import AuthenticationConformance, Headers

PROXY = "192.0.2.1"
SECRETS = ("first secret of all", "zwëites Geheimnis")
ALICE = Principal("alice", emails=("alice@example.org",))


def make(**settings):
    principals = (
        PrincipalSettings("alice", email=("alice@example.org",)),
        PrincipalSettings("chloé"),
        PrincipalSettings("staff", type="group"),
    )
    directory = MemoryDirectory(MemorySettings(principals), None, lambda: 0.0)
    context = SimpleNamespace(
        users=Users(directory, provisioning=True),
        trusted_proxies=Networks.parse(["192.0.2.0/28", "2001:db8::1"]),
    )
    chosen = TrustedHeaderSettings(**{"secrets": SECRETS, **settings})
    assert list(chosen.problems()) == []
    return PROVIDER.build(chosen, context)


def said(user, secret=SECRETS[0], name="X-User"):
    octets = {name: user, f"{name}-Secret": secret}
    return {key: value.encode().decode("latin-1") for key, value in octets.items()}


class TestTrustedHeader(AuthenticationConformance):
    principal = ALICE
    right = said("alice")
    wrong = (
        {"X-User": "alice"},
        said("alice", ""),
        said("alice", "wrong secret of all"),
        said("alice", SECRETS[0] + " "),
        said("alice", f"{SECRETS[0]}, {SECRETS[1]}"),
        said("", SECRETS[0]),
        said("alice, bob", SECRETS[0]),
        {**said("alice"), "X-User": "\xe9"},
    )
    foreign = (
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"X-User-Secret": SECRETS[0]},
        {"X-Remote-User": "alice"},
    )

    @pytest.fixture
    def strategy(self):
        return make()


def test_clients_are_not_invited():
    assert make().challenge is None


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "source", ["192.0.2.1", "192.0.2.14", "::ffff:192.0.2.1", "2001:db8::1", "2001:DB8:0::1"]
)
@ensureDeferred
async def test_trusted_proxies(source, secret):
    headers = Headers(said("alice@example.org", secret), connected_from=source)
    assert await make().authenticate(headers, "203.0.113.9") == ALICE


@pytest.mark.parametrize("source", ["192.0.2.16", "198.51.100.1", "2001:db8::2", "unix", ""])
@ensureDeferred
async def test_anybody_else_is_not_believed(source):
    """Whatever address the client is said to have: it counts who has connected."""
    headers = Headers(said("alice"), connected_from=source)
    with capturedLogs() as events, pytest.raises(AuthenticationFailed):
        await make().authenticate(headers, PROXY)
    assert events[0]["source"] == source
    assert "is no trusted proxy" in events[0]["why"]
    assert SECRETS[0] not in repr(events)


@ensureDeferred
async def test_names_are_utf_8():
    assert (await make().authenticate(Headers(said("chloé")), "::1")).name == "chloé"


@pytest.mark.parametrize("user", ["nobody", "staff"])
@ensureDeferred
async def test_who_is_nobody_here(user):
    with pytest.raises(NoAccount):
        await make().authenticate(Headers(said(user)), "::1")


@ensureDeferred
async def test_another_field(tmp_path):
    strategy = make(name="X-Remote-User", secrets=("a" * 20 + "\n" + "b" * 20 + "\n",))
    for secret in ("a" * 20, "b" * 20):
        headers = Headers(said("alice", secret, "X-Remote-User"))
        assert await strategy.authenticate(headers, "::1") == ALICE
    assert await strategy.authenticate(Headers(said("alice")), "::1") is None


CONFIG = """\
[server]
trusted-proxies = ["10.0.0.0/8"]
[server.listener.jmap]
bind = "127.0.0.1:8080"
protocol = "jmap"
[jmap]
directory = "m"
authentication = ["trusted-header", "basic"]
[directory.m]
type = "memory"
[jmap.trusted-header]
"""


@pytest.mark.parametrize(
    ("keys", "where", "words"),
    [
        ("", "jmap.trusted-header.secrets", "is missing"),
        ("secrets = []", "jmap.trusted-header.secrets", "is missing"),
        ("secrets = 'short'", "jmap.trusted-header.secrets", "16 characters or more"),
        ("secrets-file = 'empty'", "jmap.trusted-header.secrets", "is missing"),
        (f"secrets = '{'s' * 16}'\nname = 'X User'", "jmap.trusted-header.name", "such as"),
        (f"secrets = '{'s' * 16}'\nname = 'Authorization'", "jmap.trusted-header.name", "such as"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, keys, where, words):
    (tmp_path / "empty").write_text("\n")
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG + keys)
    with pytest.raises(ConfigError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert where in str(problem)
    assert words in str(problem)


def test_without_trusted_proxies_nobody_could_use_it(tmp_path):
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG.replace('["10.0.0.0/8"]', "[]") + f"secrets = '{'s' * 16}'")
    with pytest.raises(ConfigError, match=r"server\.trusted-proxies"):
        load(path)


def test_secrets_in_a_file(tmp_path):
    (tmp_path / "secrets").write_text(f"{'s' * 16}\n{'t' * 16}\n")
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG + "secrets-file = 'secrets'")
    loaded = load(path)
    settings = loaded.settings.jmap.strategies["trusted-header"]
    assert settings.each_secret == ("s" * 16, "t" * 16)
    assert "ssss" not in repr(settings)

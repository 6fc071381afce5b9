"""The key of our own tokens, and what it signs."""

import stat
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey, RSAKey
from pytest_twisted import ensureDeferred
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mailhive.auth.claims import InvalidToken, read_header
from mailhive.auth.errors import AuthenticationFailed
from mailhive.auth.jwt import PROVIDER, JwtSettings
from mailhive.auth.tokens import TokenKey, TokenKeyError
from mailhive.interfaces.directory import IAppCredentials
from mailhive.model.principal import Principal

NOW = 1_800_000_000
ALICE = Principal("alice")

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")


@pytest.fixture
def key(tmp_path):
    key = TokenKey(tmp_path / "token.key")
    key.open()
    return key


def test_the_key_is_made_once_and_its_owner_s(tmp_path, key):
    again = TokenKey(tmp_path / "token.key")
    again.open()
    assert again.kid == key.kid
    assert stat.S_IMODE((tmp_path / "token.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]


def test_several_that_make_it_at_once_have_the_same(tmp_path):
    def opened(_):
        key = TokenKey(tmp_path / "token.key")
        key.open()
        return key.kid

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(opened, range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        OKPKey.generate_key("Ed25519").as_pem(private=False),
        OKPKey.generate_key("Ed448").as_pem(private=True),
        RSAKey.generate_key(2048).as_pem(private=True),
    ],
)
def test_a_file_that_has_no_such_key(tmp_path, content):
    path = tmp_path / "token.key"
    path.write_bytes(content)
    with pytest.raises(TokenKeyError, match="is not a private key of Ed25519"):
        TokenKey(path).open()
    assert path.read_bytes() == content


def test_a_place_where_nothing_can_be(tmp_path):
    with pytest.raises(TokenKeyError, match="cannot use"):
        TokenKey(tmp_path / "none/token.key").open()


def test_signing(key, tmp_path):
    token = key.sign("alice", "id", NOW, NOW + 60)
    assert key.is_of(read_header(token))
    assert key.verify(token, NOW) == "id"
    assert key.verify(token, NOW - 3600) == "id"  # the clock was set back
    with pytest.raises(InvalidToken, match="expired"):
        key.verify(token, NOW + 60)
    assert key.verify(key.sign("alice", "other", NOW, None), NOW + 10**9) == "other"
    with pytest.raises(InvalidToken, match="signature"):
        key.verify(token[:-4] + "AAAA", NOW)
    other = TokenKey(tmp_path / "other.key")
    other.open()
    assert not other.is_of(read_header(token))
    with pytest.raises(InvalidToken, match="signature"):
        other.verify(token, NOW)


@implementer(IAppCredentials)
class Kept:
    """Knows one token."""

    def token(self, token_id, service):
        return succeed(ALICE if (token_id, service) == ("id", "jmap") else None)


class Anybody:
    """Everybody who is named is there."""

    async def named(self, name):
        return Principal(name)


@ensureDeferred
async def test_beside_tokens_of_others(tmp_path, key):
    """Neither key is asked about a token of the other, whatever the token says."""
    foreign = OKPKey.generate_key("Ed25519")
    (tmp_path / "foreign.pem").write_bytes(foreign.as_pem(private=False))
    clock = Clock()
    clock.advance(NOW)
    context = SimpleNamespace(
        users=Anybody(), reactor=clock, directory=Kept(), token_key=key, fetcher=None
    )
    strategy = PROVIDER.build(JwtSettings((str(tmp_path / "foreign.pem"),)), context)

    def signed(by, algorithm="Ed25519", **header):
        claims = {"iss": "mailhive", "sub": "bob", "jti": "id", "exp": NOW + 60}
        return jwt.encode({"alg": algorithm, **header}, claims, by, algorithms=[algorithm])

    async def whose(token, service="jmap"):
        try:
            return (await strategy.bearer(token, "::1", service)).name
        except AuthenticationFailed:
            return None

    own = key.sign("alice", "id", NOW, None)
    assert await whose(own) == "alice"
    assert await whose(own, "smtp") is None
    assert await whose(key.sign("alice", "removed", NOW, None)) is None
    assert await whose(signed(foreign)) == "bob"
    assert await whose(signed(foreign, kid="any")) == "bob"
    assert await whose(signed(foreign, "EdDSA")) == "bob"
    assert await whose(signed(foreign, kid=key.kid)) is None
    assert await whose(signed(OKPKey.generate_key("Ed25519"))) is None

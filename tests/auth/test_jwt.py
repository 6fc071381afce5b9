"""JSON Web Tokens: whose keys, which claims, and what is refused."""

import hmac
import json
import subprocess
import time
from base64 import urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pytest_twisted import ensureDeferred
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from mailhive.auth.claims import Expectations, InvalidToken, read_claims, read_header
from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.auth.jwt import PROVIDER, JwtSettings
from mailhive.auth.keys import read_keys, verified
from mailhive.auth.users import Users
from mailhive.config.load import load
from mailhive.config.problems import ConfigError
from mailhive.directory.memory import MemoryDirectory, MemorySettings, PrincipalSettings
from mailhive.model.principal import Principal
from mailhive.testing.conformance.authentication import AuthenticationConformance, Headers

NOW = 1_800_000_000
ALICE = Principal("alice", emails=("alice@example.org",))
RSA, OTHER = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
KEYS = {
    "RS256": RSA,
    "RS384": RSA,
    "RS512": RSA,
    "PS256": RSA,
    "PS384": RSA,
    "PS512": RSA,
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
    "Ed448": OKPKey.generate_key("Ed448"),
}

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")


def sign(claims=None, key=RSA, algorithm="RS256", **header):
    claims = {"sub": "alice", "exp": NOW + 60} if claims is None else claims
    return jwt.encode({"alg": algorithm, **header}, claims, key, algorithms=[algorithm])


def pem_of(key):
    return key.as_pem(private=False)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Growing(MemoryDirectory):
    """Nobody is disabled in a memory directory; here bob is."""

    def principal(self, name):
        if name == "bob":
            return succeed(Principal("bob", enabled=False))
        return super().principal(name)


def make(tmp_path, *keys, **settings):
    paths = []
    for number, key in enumerate(keys):
        paths.append(tmp_path / f"{number}.pem")
        paths[-1].write_bytes(pem_of(key))
    clock = Clock()
    clock.advance(NOW)
    principals = (
        PrincipalSettings("alice", email=("alice@example.org",)),
        PrincipalSettings("staff", type="group", email=("staff@example.org",)),
        PrincipalSettings("news", type="list", email=("news@example.org",)),
        PrincipalSettings("carol", email=("@example.net",), member_of=("news",)),
    )
    directory = Growing(MemorySettings(principals), None, clock.seconds)
    context = SimpleNamespace(
        users=Users(directory, provisioning=True),
        reactor=clock,
        directory=directory,
        token_key=None,
        fetcher=None,
    )
    settings = JwtSettings(public_keys=tuple(map(str, paths)), **settings)
    assert list(settings.problems()) == []
    return PROVIDER.build(settings, context)


def forged_hmac(key):
    """A token whose HMAC is keyed with the public key, as libraries once took it."""

    def encoded(value):
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    text = encoded({"alg": "HS256"}) + "." + encoded({"sub": "alice", "exp": NOW + 60})
    mac = hmac.digest(pem_of(key), text.encode(), sha256)
    return text + "." + urlsafe_b64encode(mac).decode().rstrip("=")


def unsigned():
    claims = urlsafe_b64encode(json.dumps({"sub": "alice", "exp": NOW + 60}).encode())
    header = urlsafe_b64encode(b'{"alg":"none"}')
    return f"{header.decode().rstrip('=')}.{claims.decode().rstrip('=')}."


def altered(token, part):
    parts = token.split(".")
    letter = "B" if parts[part][5] != "B" else "C"
    parts[part] = parts[part][:5] + letter + parts[part][6:]
    return ".".join(parts)


class TestJwt(AuthenticationConformance):
    principal = ALICE
    right = bearer(sign())
    wrong = tuple(
        map(
            bearer,
            [
                sign(key=OTHER),
                sign({"sub": "alice", "exp": NOW - 60}),
                unsigned(),
                forged_hmac(RSA),
                altered(sign(), 0),
                altered(sign(), 1),
                altered(sign(), 2),
                sign() + "A",
                sign() + ".x",
                sign().rpartition(".")[0],
                "x",
                "..",
                "e30.e30.e30",
                "x" * 100_000,
                sign(typ="logout+jwt"),
                sign(key=KEYS["ES256"], algorithm="ES256"),
            ],
        )
    )
    foreign = (
        {"Authorization": ""},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Authorization": "Bearers x"},
        {"Authorization": "DPoP x"},
        {"X-User": "alice"},
    )

    @pytest.fixture
    def strategy(self, tmp_path):
        return make(tmp_path, RSA)


@pytest.mark.parametrize("algorithm", KEYS)
@ensureDeferred
async def test_every_algorithm(tmp_path, algorithm):
    key = KEYS[algorithm]
    strategy = make(tmp_path, *{id(k): k for k in KEYS.values()}.values())
    found = await strategy.authenticate(Headers(bearer(sign(key=key, algorithm=algorithm))), "::1")
    assert found == ALICE


@ensureDeferred
async def test_without_keys_it_does_nothing(tmp_path):
    strategy = make(tmp_path)
    assert strategy.challenge is None
    assert await strategy.authenticate(Headers(bearer(sign())), "::1") is None


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW + 60}, "names no subject"),
        ({"sub": "", "exp": NOW + 60}, "names no subject"),
        ({"sub": 3, "exp": NOW + 60}, "names no subject"),
        ({"sub": "alice"}, "never expires"),
        ({"sub": "alice", "exp": NOW - 30}, "has expired"),
        ({"sub": "alice", "exp": True}, "exp is no time"),
        ({"sub": "alice", "exp": "2030"}, "exp is no time"),
        ({"sub": "alice", "exp": NOW + 60, "nbf": NOW + 31}, "not valid yet"),
        ({"sub": "alice", "exp": NOW + 60, "iat": NOW + 31}, "from the future"),
        ({"sub": "alice", "exp": NOW + 60, "aud": "mail"}, "another audience"),
        ({"sub": "alice", "exp": NOW + 60, "aud": ["mail"]}, "another audience"),
        ({"sub": "bob", "exp": NOW + 60}, None),
    ],
)
@ensureDeferred
async def test_claims_that_do_not_hold(tmp_path, claims, why):
    strategy = make(tmp_path, RSA)
    with pytest.raises(AuthenticationFailed) as caught:
        await strategy.authenticate(Headers(bearer(sign(claims))), "::1")
    if why is not None:
        assert why in str(caught.value)
        assert caught.value.challenge.startswith('Bearer realm="mailhive", error="invalid_token", ')
        assert f'error_description="{caught.value}"' in caught.value.challenge


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 29},
        {"exp": NOW + 0.5},
        {"exp": NOW + 60, "nbf": NOW + 30, "iat": NOW + 30},
        {"exp": NOW + 60, "iss": "anybody"},
    ],
)
@ensureDeferred
async def test_claims_that_hold(tmp_path, claims):
    strategy = make(tmp_path, RSA)
    assert await strategy.bearer(sign({"sub": "alice", **claims}), "::1", "jmap") == ALICE


@pytest.mark.parametrize(
    ("claims", "right"),
    [
        ({"iss": "https://id", "aud": "mail"}, True),
        ({"iss": "https://id", "aud": ["x", "jmap"]}, True),
        ({"iss": "https://id/", "aud": "mail"}, False),
        ({"aud": "mail"}, False),
        ({"iss": "https://id"}, False),
        ({"iss": "https://id", "aud": []}, False),
        ({"iss": "https://id", "aud": {"mail": 1}}, False),
        ({"iss": "https://id", "aud": "Mail"}, False),
        ({"iss": ["https://id"], "aud": "mail"}, False),
    ],
)
@ensureDeferred
async def test_issuer_and_audience(tmp_path, claims, right):
    strategy = make(tmp_path, RSA, issuer="https://id", audience=("mail", "jmap"))
    token = sign({"sub": "alice", "exp": NOW + 60, **claims})
    if right:
        assert await strategy.bearer(token, "::1", "jmap") == ALICE
    else:
        with pytest.raises(AuthenticationFailed):
            await strategy.bearer(token, "::1", "jmap")


@pytest.mark.parametrize("subject", ["alice", "ALICE", "alice@example.org", "Alice@Example.ORG"])
@ensureDeferred
async def test_subjects_are_names_or_addresses(tmp_path, subject):
    strategy = make(tmp_path, RSA)
    token = sign({"sub": subject, "exp": NOW + 60})
    assert await strategy.bearer(token, "::1", "jmap") == ALICE


@pytest.mark.parametrize(
    "subject",
    [
        "nobody",
        "staff",
        "news",
        "staff@example.org",
        "news@example.org",  # carol gets its mail
        "anybody@example.net",  # and that too
        "@example.net",
        "alice+x@example.org",
        "\x00",
    ],
)
@ensureDeferred
async def test_subjects_who_are_nobody_here(tmp_path, subject):
    strategy = make(tmp_path, RSA)
    with pytest.raises(NoAccount):
        await strategy.bearer(sign({"sub": subject, "exp": NOW + 60}), "::1", "jmap")


def test_a_certificate_is_a_key_too(tmp_path):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x"
    command += " -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    key = ECKey.import_key((tmp_path / "key.pem").read_bytes())
    [found] = read_keys((tmp_path / "cert.pem").read_bytes())
    token = sign(key=key, algorithm="ES256")
    assert verified(token, "ES256", [found]) is not None


def test_several_keys_in_one_file(tmp_path):
    both = pem_of(RSA) + b"\n" + pem_of(KEYS["ES256"])
    assert [key.algorithms[0] for key in read_keys(both)] == ["RS256", "ES256"]


def jwk(key, **more):
    return {**key.as_dict(private=False), **more}


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (jwk(RSA), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (jwk(RSA, alg="PS256", use="sig"), ("PS256",)),
        (jwk(RSA, key_ops=["verify"]), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (jwk(RSA, use="enc"), None),
        (jwk(RSA, alg="HS256"), None),
        (jwk(RSA, alg="RSA-OAEP"), None),
        (jwk(RSA, key_ops=["sign"]), None),
        (jwk(RSA, kid=3), None),
        (jwk(RSAKey.generate_key(1024)), None),
        (jwk(OKPKey.generate_key("X25519")), None),
        ({"kty": "oct", "k": "AAAA"}, None),
        ({"kty": "XYZ"}, None),
        ({"kty": "RSA"}, None),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, None),
    ],
)
def test_keys_of_a_set(key, algorithms):
    usable = jwk(KEYS["EdDSA"], kid="usable")
    found = read_keys(json.dumps({"keys": [key, usable, "junk"]}).encode())
    assert [k.algorithms for k in found[:-1]] == ([algorithms] if algorithms else [])
    assert found[-1].kid == "usable"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no key"),
        (b"text", "has no key"),
        (b"{", "is no JSON"),
        (b"{}", "is no JWK Set"),
        (b'{"keys": []}', "has no key"),
        (b'{"keys": ' + b"[" * 100_000, "is no JSON"),
        (RSA.as_pem(private=True), "private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
        (pem_of(RSAKey.generate_key(1024)), "2048 bits"),
        (pem_of(RSA) * 101, "more than 100"),
    ],
)
def test_what_has_no_key(content, why):
    with pytest.raises(ValueError, match=why):
        read_keys(content)


def test_a_key_of_another_name_is_not_asked():
    keys = read_keys(json.dumps({"keys": [jwk(RSA, kid="a"), jwk(OTHER, kid="b")]}).encode())
    unnamed = read_keys(pem_of(RSA))[0]
    assert [key.may_verify("RS256", "a") for key in (*keys, unnamed)] == [True, False, True]
    assert [key.may_verify("RS256", None) for key in (*keys, unnamed)] == [True, True, True]
    assert not any(key.may_verify(name, "a") for key in keys for name in ("HS256", "none", "ES256"))


def test_critical_headers_are_refused():
    """RFC 7515 §4.1.11: also `b64` (RFC 7797), which would sign something else."""
    keys = read_keys(pem_of(RSA))
    for name in ("b64", "exp", "x"):
        header = {"alg": "RS256", "crit": [name], name: False}
        text = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        token = ".".join([text, *sign().split(".")[1:]])
        assert _verifies(token, keys) is False


def _verifies(token, keys):
    try:
        return verified(token, "RS256", keys) is not None
    except ValueError:
        return False


@given(st.text())
def test_any_text_is_a_header_or_is_refused(text):
    try:
        read_header(text)
    except InvalidToken as error:
        assert str(error) in {"That is no JSON Web Token", "The token is of another type"}


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_claims_hold_or_are_refused(value):
    for name in ("exp", "nbf", "iat", "aud", "iss"):
        claims = {"exp": NOW + 60, name: value}
        try:
            Expectations(issuer="x", audience=frozenset("x")).check(claims, NOW)
        except InvalidToken:
            pass
        else:
            pytest.fail("there is always one that is missing")


@given(st.binary())
def test_any_payload_is_a_claim_set_or_is_refused(octets):
    with suppress(InvalidToken):
        assert isinstance(read_claims(octets), dict)


@given(st.integers(0, 2), st.data())
def test_no_altered_token_is_good(part, data):
    parts = TOKEN.split(".")
    at = data.draw(st.integers(0, len(parts[part]) - 2))  # its last character has unused bits
    letter = data.draw(st.sampled_from("ABCabc019-_").filter(lambda c: c != parts[part][at]))
    parts[part] = parts[part][:at] + letter + parts[part][at + 1 :]
    assert not _verifies(".".join(parts), PUBLIC)


TOKEN, PUBLIC = sign(), read_keys(pem_of(RSA))


CONFIG = """\
[server.listener.jmap]
bind = "127.0.0.1:8080"
protocol = "jmap"
[jmap]
directory = "m"
[directory.m]
type = "memory"
[jmap.jwt]
"""


@pytest.mark.parametrize(
    ("keys", "where", "words"),
    [
        ("public-keys = 'none.pem'", "jmap.jwt.public-keys", "cannot be read: No such file"),
        ("public-keys = 'junk.pem'", "jmap.jwt.public-keys", "has no key that verifies"),
        ("public-keys = ['key.pem', 'ftp://x']", "jmap.jwt.public-keys[1]", "allowed is"),
        ("jwks-url = 'key.pem'", "jmap.jwt.jwks-url", 'allowed is "https://…"'),
        ("issuer = 'x'", "jmap.jwt.issuer", "does nothing; allowed beside public-keys"),
        ("cache-time = '1s'", "jmap.jwt.cache-time", "at least 30s"),
    ],
)
def test_mistakes_in_the_configuration(tmp_path, keys, where, words):
    (tmp_path / "key.pem").write_bytes(pem_of(RSA))
    (tmp_path / "junk.pem").write_text("junk")
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG + keys)
    with pytest.raises(ConfigError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert where in str(problem)
    assert words in str(problem)


def test_the_configuration(tmp_path):
    (tmp_path / "key.pem").write_bytes(pem_of(RSA))
    path = tmp_path / "mailhive.toml"
    path.write_text(
        CONFIG + f"public-keys = ['key.pem', 'file://{tmp_path}/key.pem', 'https://id.example/k']"
    )
    loaded = load(path)
    own = str(tmp_path / "key.pem")
    assert loaded.settings.jmap.strategies["jwt"].public_keys == (own, own, "https://id.example/k")
    assert loaded.warnings == ()
    path.write_text(CONFIG + "jwks-url = 'http://id.example/keys'")
    [warning] = load(path).warnings
    assert "better is https" in str(warning)
    assert warning.line == 9
    for url in ("http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]:1/keys"):
        path.write_text(CONFIG + f"jwks-url = '{url}'")
        assert load(path).warnings == ()
    path.write_text(CONFIG + "public-keys = ['key.pem', 'http://localhost.example/keys']")
    assert len(load(path).warnings) == 1


def test_time_is_what_the_reactor_says():
    from twisted.internet import reactor

    assert abs(reactor.seconds() - time.time()) < 60

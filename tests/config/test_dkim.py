"""Tables of keys that sign."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from mailhive.config.load import LoadedConfig, load
from mailhive.config.problems import ConfigError

CONFIG = """\
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
[dkim.a]
domains = ["example.org", "Bücher.example"]
selector = "s"
private-key = "good.pem"
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    plain, locked = NoEncryption(), BestAvailableEncryption(b"x")
    keys: dict[str, tuple[ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
                          | ec.EllipticCurvePrivateKey, KeySerializationEncryption]] = {
        "good": (ed25519.Ed25519PrivateKey.generate(), plain),
        "locked": (ed25519.Ed25519PrivateKey.generate(), locked),
        "weak": (rsa.generate_private_key(65_537, 1024), plain),
        "curve": (ec.generate_private_key(ec.SECP256R1()), plain),
    }  # fmt: skip
    for name, (key, encryption) in keys.items():
        octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (folder / f"{name}.pem").write_bytes(octets)
    (folder / "none.pem").write_text("none")
    return folder


def load_with(where: Path, text: str) -> LoadedConfig:
    path = where / "mailhive.toml"
    path.write_text(text)
    return load(path)


def test_a_table(where: Path) -> None:
    loaded = load_with(where, CONFIG)
    assert loaded.settings.dkim["a"].domains == ("example.org", "Bücher.example")
    assert not loaded.warnings


def test_a_short_key_is_warned_about(where: Path) -> None:
    (warning,) = load_with(where, CONFIG.replace("good", "weak")).warnings
    assert "is a key of 1024 bits; 2048 are recommended" in str(warning)


SECOND = '[dkim.b]\ndomains = "EXAMPLE.org"\nselector = "{}"\nprivate-key = "good.pem"\n'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("good", "missing", "cannot be read: No such file"),
        ("good", "locked", "is encrypted; allowed is a key without password"),
        ("good", "none", "is no private key; allowed is PEM"),
        ("good", "curve", "is a key of another kind; allowed are RSA and Ed25519"),
        ('["example.org", "Bücher.example"]', "[]", "is empty; at least one is needed"),
        ("Bücher.example", "EXAMPLE.org", 'names "example.org" twice'),
        ("Bücher.example", "x y", '"x y" is no domain'),
        ('"s"', '"s_"', '"s_" is no selector'),
        ('"s"', '"s"\nsealed-fields = "To"', "is without From"),
        ('"s"', '"s"\nsigned-fields = "Received"', '"Received" changes on the way'),
        ('"s"', '"s"\nsigned-fields = "a b"', '"a b" is no name of a header field'),
        ("[dkim.a]", SECOND.format("S") + "[dkim.a]", "allowed is another one"),
    ],
)
def test_mistakes(where: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_with(where, CONFIG.replace(old, new))
    (problem,) = caught.value.problems
    assert told in str(problem) and problem.line > 0


def test_keys_of_one_domain(where: Path) -> None:
    assert set(load_with(where, CONFIG + SECOND.format("t")).settings.dkim) == {"a", "b"}

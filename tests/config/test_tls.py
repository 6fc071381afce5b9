"""Certificates that a configuration names."""

from pathlib import Path

import pytest

from mailhive.config.load import LoadedConfig, load
from mailhive.config.problems import ConfigError
from mailhive.testing.certificates import make_certificate

CONFIG = """\
[server.listener.mx]
bind = "127.0.0.1:2525"
protocol = "smtp"
tls = "starttls"
certificate = {certificate}
private-key = {key}
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""


def load_with(where: Path, certificate: str, key: str) -> LoadedConfig:
    path = where / "mailhive.toml"
    path.write_text(CONFIG.format(certificate=certificate, key=key))
    return load(path)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    for stem, days in (("a", 30), ("b", 30), ("old", -1), ("soon", 3)):
        made = make_certificate("localhost", days=days)
        (tmp_path / f"{stem}.pem").write_bytes(made.certificate)
        (tmp_path / f"{stem}.key").write_bytes(made.private_key)
    return tmp_path


def test_several_certificates(where: Path) -> None:
    config = load_with(where, '["a.pem", "b.pem"]', '["a.key", "b.key"]')
    assert config.settings.server.listener["mx"].key_pairs == [
        (where / "a.pem", where / "a.key"),
        (where / "b.pem", where / "b.key"),
    ]
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        ('["a.pem", "b.pem"]', '["a.key", "a.key"]', "private-key[1]: .* is not the key"),
        ('["a.pem", "none.pem"]', '["a.key", "b.key"]', r"certificate\[1\]: .* cannot be read"),
        ('["a.pem", "b.pem"]', '"a.key"', "private-key: has 1 files; allowed is one for each"),
        ('"a.pem"', '["a.key", "b.key"]', "private-key: has 2 files; allowed is one for each"),
        ('"a.pem"', '"b.key"', "private-key: .* is not the key"),
        ('"a.pem"', "[]", "private-key: is missing"),
    ],
)
def test_what_does_not_fit(where: Path, certificate: str, key: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_with(where, certificate, key)
    assert len(caught.value.problems) == 1
    assert caught.match(told.replace("private-key[1]", r"private-key\[1\]"))


@pytest.mark.parametrize(("stem", "told"), [("old", "has expired on"), ("soon", "expires on")])
def test_a_certificate_whose_time_is_over_is_warned_about(
    where: Path, stem: str, told: str
) -> None:
    config = load_with(where, f'"{stem}.pem"', f'"{stem}.key"')
    (warning,) = config.warnings
    assert told in warning.message
    assert str(warning).startswith(f"{where}/mailhive.toml:5: server.listener.mx.certificate: ")


def test_paths_are_tidy_and_follow_links(where: Path) -> None:
    (where / "etc").mkdir()
    (where / "link").symlink_to("etc")
    path = where / "link" / "mailhive.toml"
    path.write_text(
        CONFIG.format(certificate='"../a.pem"', key='"./../a.key"')
        + '[server]\ndata-dir = "../var"\n'
    )
    server = load(path).settings.server
    assert server.data_dir == where / "var"
    assert server.listener["mx"].key_pairs == [(where / "a.pem", where / "a.key")]

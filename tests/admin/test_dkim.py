"""`mailhive dkim`."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailhive.admin.cli import main
from mailhive.authn.dkim_key import parse_key
from mailhive.config.load import load

CONFIG = """\
[server.listener.mx]
bind = "127.0.0.1:25"
protocol = "smtp"
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mailhive.toml"
    path.write_text(CONFIG)
    return path


def run(config: Path, *arguments: str) -> Result:
    name, *rest = arguments
    return CliRunner().invoke(main, [name, *(["make"] if name == "dkim" else []),
                                     "-c", str(config), *rest])  # fmt: skip


def key_of(record: str) -> Any:
    strings = re.findall(r'"([^"]*)"', record)
    assert all(len(text) <= 255 for text in strings)
    return parse_key("".join(strings).encode())


@pytest.mark.parametrize(
    ("algorithm", "kind", "bits"), [("rsa", "rsa", 2048), ("ed25519", "ed25519", 256)]
)
def test_a_key_is_made(config: Path, algorithm: str, kind: str, bits: int) -> None:
    made = run(config, "dkim", "Example.ORG", "--algorithm", algorithm, "--selector", "s1")
    assert made.exit_code == 0, made.output
    table, _, record = made.output.partition("\n\n")
    assert tomllib.loads(table)["dkim"]["example.org-s1"]["domains"] == "example.org"
    key = key_of(record)
    assert (key.kind, key.bits) == (kind, bits)
    # What is printed can be put into the configuration as it is.
    config.write_text(CONFIG + table)
    settings = load(config).settings
    path = settings.dkim["example.org-s1"].private_key
    assert path == settings.server.data_dir / "dkim" / "example.org.s1.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    shown = CliRunner().invoke(main, ["dkim", "show", "-c", str(config)])
    assert shown.output == record
    assert record.startswith("s1._domainkey.example.org. 3600 IN TXT ")
    assert record.strip() in run(config, "dns", "example.org").output.splitlines()
    assert "_domainkey" not in run(config, "dns", "example.net").output


def test_no_key_is_overwritten(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    arguments = ("dkim", "bücher.example", "--algorithm", "ed25519", "--output", str(path))
    assert "xn--bcher-kva.example" in run(config, *arguments).output
    before = path.read_bytes()
    again = run(config, *arguments)
    assert (again.exit_code, again.output) == (1, f"Error: {path}: File exists\n")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a..b",), 'Error: "a..b" is no domain\n'),
        (("example.org", "--selector", "a b"), 'Error: "a b" is no selector; allowed are'),
    ],
)
def test_mistakes(config: Path, arguments: tuple[str, ...], told: str) -> None:
    made = run(config, "dkim", *arguments)
    assert made.exit_code == 1 and made.output.startswith(told)
    assert not list(config.parent.rglob("*.pem"))

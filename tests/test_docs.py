"""The documents say what the code says."""

import re
from pathlib import Path

import pytest

from mailhive.config.load import load
from mailhive.config.reference import reference
from mailhive.testing.certificates import make_certificate

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_configuration_reference_is_fresh() -> None:
    written = (ROOT / "docs/configuration.md").read_text("utf-8")
    assert written == reference(), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_readme_example_loads(tmp_path: Path) -> None:
    """With files of its own in place of those that it names."""
    (example,) = re.findall(
        r"```toml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL
    )
    (tmp_path / "alice").write_text("secret\n")
    example = example.replace("/etc/mailhive/", "").replace("/var/lib/mailhive", "data")
    example = re.sub(r"^(tls|certificate|private-key) = .*\n", "", example, flags=re.MULTILINE)
    path = tmp_path / "mailhive.toml"
    path.write_text(example)
    assert set(load(path).settings.server.listener) == {"jmap", "smtp"}


def test_readme_states_the_shipped_passwords() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    settings = load(ROOT / "etc/mailhive.toml").settings
    for principal in settings.directory["memory"].settings.principals:
        assert f"| `{principal.name}` | `{principal.secret}` | `{principal.email[0]}` |" in readme


BASE = """
[jmap]
directory = "memory"
[directory.memory]
type = "memory"
"""
LISTENER = '[server.listener.jmap]\nbind = "127.0.0.1:0"\nprotocol = "jmap"\n'


def deployment_examples() -> list[str]:
    """The settings that docs/deployment.md and the examples for proxies show."""
    text = (ROOT / "docs/deployment.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for path in (ROOT / "contrib/nginx/mailhive.conf", ROOT / "contrib/haproxy/haproxy.cfg"):
        lines = path.read_text("utf-8").splitlines()
        examples.append("\n".join(line[4:] for line in lines if line.startswith("#   ")))
    return examples


@pytest.mark.parametrize("example", deployment_examples())
def test_deployment_examples_load(example: str, tmp_path: Path) -> None:
    made = make_certificate("localhost")
    for name in re.findall(r'"/etc/ssl/([^"]+)"', example):
        content = made.private_key if name.endswith(".key") else made.certificate
        (tmp_path / name).write_bytes(content)
    for name in re.findall(r'-file = "/etc/mailhive/([^"]+)"', example):
        (tmp_path / name).write_text("secret\n")
    example = example.replace("/etc/ssl/", "").replace("/etc/mailhive/", "")
    if "listener" not in example:
        example += LISTENER
    path = tmp_path / "mailhive.toml"
    path.write_text(example + BASE)
    assert load(path).settings.server.listener

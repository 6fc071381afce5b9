"""The documents say what the code says."""

import re
from pathlib import Path

import pytest

from mailhive.config.load import load
from mailhive.config.reference import reference

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

"""The import arrows of docs/architecture.md, as pyproject.toml declares them."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "mailhive").rglob("*.py"))


def test_import_contracts() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_ways_in_import_the_reactor() -> None:
    pattern = re.compile(r"^\s*from twisted\.internet import (.*\b)?reactor\b", re.MULTILINE)
    importers = {path.name for path in SOURCES if pattern.search(path.read_text("utf-8"))}
    assert importers == {"tap.py", "worker.py"}


def test_the_plugin_imports_nothing_of_mailhive() -> None:
    plugin = (ROOT / "twisted/plugins/mailhive_plugin.py").read_text("utf-8")
    assert re.findall(r"^(?:from|import) .*", plugin, re.MULTILINE) == [
        "from twisted.application.service import ServiceMaker"
    ]


def test_nothing_shadows_twisted() -> None:
    """An `__init__.py` there would hide the whole of Twisted from a source tree."""
    assert [p.name for p in (ROOT / "twisted").rglob("*.py")] == ["mailhive_plugin.py"]


def test_modules_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := len(path.read_text("utf-8").splitlines())) > 700
    }
    assert long == {}

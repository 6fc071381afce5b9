"""docs/rfc/index.toml: what it refers to is there, and what refers to it is in it."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CODE = ROOT / "mailhive"
TESTS = (ROOT / "tests", ROOT / "mailhive" / "testing")

LEVELS = {
    "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED", "NOT RECOMMENDED", "DOES",
}  # fmt: skip
STATUSES = {"held", "in part", "next", "client", "informative"}
WHOSE = {"client", "next", "n/a", "not done"}
SUITE = "jmap-test-suite:"
EXPECTED_FAILURES = (
    (ROOT / "contrib" / "conformance" / "expected-failures.txt").read_text().splitlines()
)
CITATION = re.compile(r"RFC (8620|8621)(,? ?§? ?)(\d+(?:\.\d+)*)")


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("support", ROOT / "docs" / "rfc" / "support.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = _generator()
INDEX = support.load()
SECTIONS = [
    pytest.param(rfc, number, id=f"{rfc}-{number}")
    for rfc, sections in INDEX.items()
    for number in sections
]


@cache
def names(path: Path) -> frozenset[str]:
    """What a module defines: functions, classes, `Class.method`, and what is assigned."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                found.add(name)
                found |= {
                    separator.join((name, member.name))
                    for member in body
                    if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
                    for separator in (".", "::")
                }
                found |= {
                    member.name
                    for member in body
                    if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
                    and member.name.startswith("test_")
                }
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return frozenset(found)


def unresolved(code: str, tests: str) -> Iterator[str]:
    """The references that lead nowhere."""
    for reference in code.split():
        module, _, name = reference.partition(":")
        path = CODE / module
        if not path.is_file() or (name and name not in names(path)):
            yield reference
    for reference in tests.split():
        if reference.startswith(SUITE):
            if reference.removeprefix(SUITE) in EXPECTED_FAILURES:
                yield reference
            continue
        module, _, name = reference.partition("::")
        paths = [root / module for root in TESTS if (root / module).is_file()]
        if not any(name in names(path) for path in paths):
            yield reference


@pytest.mark.parametrize(("rfc", "number"), SECTIONS)
def test_what_a_section_refers_to_is_there(rfc: str, number: str) -> None:
    section = INDEX[rfc][number]
    held, left = section.get("held", []), section.get("left", [])
    assert section["status"] in STATUSES and section["title"]
    assert {entry[0] for entry in held + left} <= LEVELS
    assert {entry[2] for entry in left} <= WHOSE
    for _, _, code, tests in held:
        assert code and tests
        assert list(unresolved(code, tests)) == []
    for _, _, whose, why in left:
        assert why or whose == "client"
    # The status is what follows from the rest.
    open_ones = {entry[2] for entry in left} & {"next", "not done"}
    assert (section["status"] == "in part") == bool(held and open_ones)
    if section["status"] == "held":
        assert held or left
        assert not open_ones
    if section["status"] in ("informative", "client", "next"):
        assert not held
    parent = number.rpartition(".")[0]
    assert not parent or parent in INDEX[rfc]


def test_citations_in_the_code_name_sections() -> None:
    wrong = []
    for path in [*CODE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        if path == Path(__file__):
            continue
        for rfc, mark, number in CITATION.findall(path.read_text(encoding="utf-8")):
            if mark != " §" or number not in INDEX[rfc]:
                wrong.append(f"{path.relative_to(ROOT)}: RFC {rfc}{mark}{number}")
    assert wrong == []


def test_the_table_is_up_to_date() -> None:
    table = (ROOT / "docs" / "rfc" / "support.md").read_text(encoding="utf-8")
    assert table == support.table(INDEX), "run make docs"


def test_every_rfc_that_is_cited_is_told_of() -> None:
    text = (ROOT / "docs" / "rfc" / "others.md").read_text(encoding="utf-8")
    told = {int(number) for number in re.findall(r"\b\d{4}\b", text)} | {8620, 8621}
    for first, last in re.findall(r"\b(\d{4}) to (\d{4})\b", text):
        told |= set(range(int(first), int(last) + 1))
    code = (path.read_text(encoding="utf-8") for path in CODE.rglob("*.py"))
    cited = {int(number) for source in code for number in re.findall(r"RFC (\d{4})", source)}
    assert cited - told == set()
    for place in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`", text):
        assert place == "mailhive/" or (CODE / place).exists(), place

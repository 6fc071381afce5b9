"""The locator finds every key that tomllib reports, on its line."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.config.locate import locate

DOCUMENT = '''\
title = "a # no comment"   # a comment
[server]
"quoted key" = 1
dotted.key = """
x = 1
""" # end
[server.listener.'a.b']
bind = [
  "one", # [
  "two]",
]
inline = { a = 1, b = { c = [ { d = 2 } ] } }
[[directory."m\\u00e9".principals]]
name = 'x = "y"'
[[directory."m\\u00e9".principals]]
name = """a""\\"""""
[directory."m\\u00e9".principals.more]
date = 1979-05-27T07:32:00Z
[last]
'''


def test_every_kind_of_key() -> None:
    lines = locate(DOCUMENT)
    me = ("directory", "mé", "principals")
    assert lines == {
        ("title",): 1,
        ("server",): 2,
        ("server", "quoted key"): 3,
        ("server", "dotted"): 4,
        ("server", "dotted", "key"): 4,
        ("server", "listener"): 7,
        ("server", "listener", "a.b"): 7,
        ("server", "listener", "a.b", "bind"): 8,
        ("server", "listener", "a.b", "bind", 0): 9,
        ("server", "listener", "a.b", "bind", 1): 10,
        ("server", "listener", "a.b", "inline"): 12,
        ("server", "listener", "a.b", "inline", "a"): 12,
        ("server", "listener", "a.b", "inline", "b"): 12,
        ("server", "listener", "a.b", "inline", "b", "c"): 12,
        ("server", "listener", "a.b", "inline", "b", "c", 0): 12,
        ("server", "listener", "a.b", "inline", "b", "c", 0, "d"): 12,
        ("directory",): 13,
        ("directory", "mé"): 13,
        me: 13,
        (*me, 0): 13,
        (*me, 0, "name"): 14,
        (*me, 1): 15,
        (*me, 1, "name"): 16,
        (*me, 1, "more"): 17,
        (*me, 1, "more", "date"): 18,
        ("last",): 19,
    }


def test_windows_line_ends() -> None:
    assert locate("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


@pytest.mark.parametrize("text", ["", "\n\n# nothing\n"])
def test_empty(text: str) -> None:
    assert locate(text) == {}


def paths(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found: set[tuple[str | int, ...]] = {path} if path else set()
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= paths(item, (*path, index))
    return found


def toml(value: object) -> str:
    if isinstance(value, str):
        escaped = "".join(
            c if " " <= c != "\x7f" else f"\\u{ord(c):04x}"
            for c in value.replace("\\", "\\\\").replace('"', '\\"')
        )
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + " , ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return str(value)


text = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8)
values = st.recursive(
    st.integers(0, 99) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(text, values, max_size=4))
def test_knows_what_tomllib_knows(document: dict[str, object]) -> None:
    source = "\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items())
    assert tomllib.loads(source) == document
    lines = locate(source)
    assert set(lines) == paths(document)
    assert [lines[(key,)] for key in document] == list(range(1, len(document) + 1))

"""PatchObject (RFC 8620 §5.3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.jmap.errors import SetError
from mailhive.jmap.standard.patch import apply_patch

CURRENT: dict[str, Any] = {
    "name": "n",
    "alerts": {"1": {"offset": 5}, "2": {}},
    "list": [{"a": 1}],
    "a/b": {"m~n": 1},
    "none": None,
}


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({}, {}),
        ({"name": "x"}, {"name": "x"}),
        ({"name": None}, {"name": "default"}),
        ({"alerts/1/offset": 9}, {"alerts": {"1": {"offset": 9}, "2": {}}}),
        ({"alerts/2/new": 1}, {"alerts": {"1": {"offset": 5}, "2": {"new": 1}}}),
        ({"alerts/1": None}, {"alerts": {"2": {}}}),
        ({"alerts/3": None}, {}),
        (
            {"alerts/1/offset": None, "alerts/2/x": 1, "alerts/3": 1},
            {"alerts": {"1": {}, "2": {"x": 1}, "3": 1}},
        ),
        ({"a~1b/m~0n": 2}, {"a/b": {"m~n": 2}}),
        ({"list": []}, {"list": []}),
    ],
)
def test_patches(patch: dict[str, Any], changed: dict[str, Any]) -> None:
    before = repr(CURRENT)
    assert apply_patch(CURRENT, patch, {"name": "default"}) == CURRENT | changed
    assert repr(CURRENT) == before


@pytest.mark.parametrize(
    "patch",
    [
        {"list/0/a": 2},
        {"list/-": 2},
        {"nope/x": 1},
        {"name/x": 1},
        {"none/x": 1},
        {"alerts/9/offset": 1},
        {"alerts": {}, "alerts/1/offset": 1},
        {"alerts/1": {}, "alerts/1/offset": 1, "name": "x"},
    ],
)
def test_paths_that_are_not_allowed(patch: dict[str, Any]) -> None:
    with pytest.raises(SetError) as caught:
        apply_patch(CURRENT, patch, {})
    assert caught.value.type == "invalidPatch"


def test_a_name_that_only_begins_alike_is_no_prefix() -> None:
    patched = apply_patch({"a": {}, "ab": {}}, {"a/x": 1, "ab/x": 2, "a/xy": 3}, {})
    assert patched == {"a": {"x": 1, "xy": 3}, "ab": {"x": 2}}


NAMES = st.text("ab/~", min_size=1, max_size=3)


@given(st.dictionaries(NAMES, st.integers()), st.dictionaries(NAMES, st.integers()))
def test_a_whole_object_is_a_patch(current: dict[str, int], new: dict[str, int]) -> None:
    patch = {k.replace("~", "~0").replace("/", "~1"): v for k, v in new.items()}
    assert apply_patch(current, patch, {}) == current | new

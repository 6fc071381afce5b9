"""Filters and comparators (RFC 8620 §5.5)."""

from typing import Any

import pytest

from mailhive.jmap.checks import is_string, is_unsigned
from mailhive.jmap.errors import MethodError
from mailhive.jmap.standard.filters import matches, parse_filter
from mailhive.jmap.standard.sorts import parse_sort, sorted_by

TABLE = {"name": (is_string, str.upper), "size": (is_unsigned, int)}


def found(value: Any) -> list[str]:
    things = {"A": 1, "B": 2, "C": 3}
    tree = parse_filter(value, TABLE)

    def test(thing: str) -> bool:
        return matches(tree, lambda name, v: v == (thing if name == "name" else things[thing]))

    return [thing for thing in things if test(thing)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "ABC"),
        ({}, "ABC"),
        ({"name": "a"}, "A"),
        ({"name": "a", "size": 2}, ""),
        ({"operator": "AND", "conditions": []}, "ABC"),
        ({"operator": "OR", "conditions": []}, ""),
        ({"operator": "NOT", "conditions": []}, "ABC"),
        ({"operator": "OR", "conditions": [{"name": "a"}, {"size": 3}]}, "AC"),
        ({"operator": "NOT", "conditions": [{"name": "a"}, {"size": 3}]}, "B"),
        (
            {
                "operator": "AND",
                "conditions": [
                    {"operator": "NOT", "conditions": [{"name": "b"}]},
                    {"operator": "OR", "conditions": [{"size": 2}, {"size": 3}]},
                ],
            },
            "C",
        ),
    ],
)
def test_filters(value: Any, expected: str) -> None:
    assert "".join(found(value)) == expected


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"operator": "NOT", "conditions": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([], "invalidArguments"),
        ({"size": "1"}, "invalidArguments"),
        ({"size": -1}, "invalidArguments"),
        ({"operator": "XOR", "conditions": []}, "invalidArguments"),
        ({"operator": "AND"}, "invalidArguments"),
        ({"operator": "AND", "conditions": [None]}, "invalidArguments"),
        ({"operator": "AND", "conditions": [], "name": "a"}, "invalidArguments"),
        ({"nope": 1}, "unsupportedFilter"),
        (nested(100), "unsupportedFilter"),
        ({"operator": "OR", "conditions": [{}] * 1000}, "unsupportedFilter"),
        ({"name": "a" * 200_000}, "unsupportedFilter"),
        ({"operator": "OR", "conditions": [{"name": "a" * 600}] * 200}, "unsupportedFilter"),
        ({"operator": ["OR"], "conditions": []}, "invalidArguments"),
    ],
)
def test_filters_that_are_refused(value: Any, error: str) -> None:
    with pytest.raises(MethodError) as caught:
        parse_filter(value, TABLE)
    assert caught.value.type == error


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({}, "invalidArguments"),
        ([{}], "invalidArguments"),
        ([{"property": "name", "isAscending": 1}], "invalidArguments"),
        ([{"property": "name", "keyword": "$seen"}], "invalidArguments"),
        ([{"property": "hasKeyword"}], "invalidArguments"),
        ([{"property": "nope"}], "unsupportedSort"),
        ([{"property": "name"}] * 33, "unsupportedSort"),
        ([{"property": "name", "collation": "i;nope"}], "unsupportedSort"),
    ],
)
def test_sorts_that_are_refused(value: Any, error: str) -> None:
    with pytest.raises(MethodError) as caught:
        parse_sort(value, ("name", "hasKeyword"), ("hasKeyword",))
    assert caught.value.type == error


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ([{"property": "name"}], ["10", "9", "a", "B", "c", "é"]),
        ([{"property": "name", "position": 0}], ["10", "9", "a", "B", "c", "é"]),
        ([{"property": "name", "isAscending": False}], ["é", "c", "B", "a", "9", "10"]),
        (
            [{"property": "name", "collation": "i;ascii-numeric"}, {"property": "size"}],
            ["9", "10", "c", "B", "é", "a"],
        ),
        ([{"property": "size", "isAscending": False}], ["a", "é", "B", "9", "c", "10"]),
    ],
)
def test_sorting(sort: Any, expected: list[str]) -> None:
    sizes = {"10": 0, "c": 1, "B": 2, "9": 2, "é": 3, "a": 4}
    things = sorted_by(
        list(sizes),
        parse_sort(sort, ("name", "size")),
        lambda thing, name: thing if name == "name" else sizes[thing],
    )
    assert things == expected

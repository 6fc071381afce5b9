"""Result references (RFC 8620 §3.7)."""

import msgspec
import pytest

from mailhive.jmap.budget import Budget
from mailhive.jmap.errors import MethodError
from mailhive.jmap.references import resolve_references

RESPONSES = [
    ("Foo/changes", {"created": ["f1", "f4"], "updated": []}, "t0"),
    (
        "Email/get",
        {
            "list": [
                {"id": "a", "threadId": "T1", "to": [{"email": "x"}, {"email": "y"}]},
                {"id": "b", "threadId": "T2", "to": []},
            ],
            "raw": msgspec.Raw(b'{"deep": [1, 2]}'),
            "a/b": {"m~n": 8, "": 0},
            "tuple": ("c", "d"),
        },
        "t1",
    ),
    ("Second/response", {"x": 1}, "t1"),
]


def resolve(path: str, result_of: str = "t1", name: str = "Email/get") -> object:
    reference = {"resultOf": result_of, "name": name, "path": path}
    return resolve_references({"#ids": reference}, RESPONSES, Budget(1_000, "It"))["ids"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/list/*/threadId", ["T1", "T2"]),
        ("/list/1/id", "b"),
        ("/list/*/to/*/email", ["x", "y"]),
        ("/list/*/to", [{"email": "x"}, {"email": "y"}]),
        ("/raw/deep", [1, 2]),
        ("/tuple", ["c", "d"]),
        ("/raw/deep/1", 2),
        ("/a~1b/m~0n", 8),
        ("/a~1b/", 0),
        ("", RESPONSES[1][1] | {"raw": msgspec.Raw(b'{"deep": [1, 2]}')}),
    ],
)
def test_paths(path: str, value: object) -> None:
    assert resolve(path) == value


def test_the_example_of_the_rfc() -> None:
    assert resolve("/created", "t0", "Foo/changes") == ["f1", "f4"]


@pytest.mark.parametrize(
    "path",
    [
        "list", "/nope", "/list/2", "/list/-1", "/list/01", "/list/-", "/list/x",
        "/list/*/nope", "/list/0/id/x", "/list/²",
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(path: str) -> None:
    with pytest.raises(MethodError) as caught:
        resolve(path)
    assert caught.value.type == "invalidResultReference"


def test_the_first_response_of_the_call_must_have_the_name() -> None:
    with pytest.raises(MethodError) as caught:
        resolve("/x", "t1", "Second/response")
    assert caught.value.type == "invalidResultReference"
    with pytest.raises(MethodError) as caught:
        resolve("/x", "t9", "Foo/changes")
    assert caught.value.type == "invalidResultReference"


def test_a_reference_must_be_one() -> None:
    with pytest.raises(MethodError) as caught:
        resolve_references({"#ids": ["x"]}, RESPONSES, Budget(1_000, "It"))
    assert caught.value.type == "invalidResultReference"


def test_an_argument_cannot_be_given_both_ways() -> None:
    with pytest.raises(MethodError) as caught:
        resolve_references({"ids": [], "#ids": {}}, RESPONSES, Budget(1_000, "It"))
    assert caught.value.type == "invalidArguments"


@pytest.mark.parametrize("octets", [0, 10, 20])
@pytest.mark.parametrize("path", ["", "/list/*/to/*/email", "/raw/deep"])
def test_what_is_brought_in_counts(path: str, octets: int) -> None:
    reference = {"resultOf": "t1", "name": "Email/get", "path": path}
    with pytest.raises(MethodError) as caught:
        resolve_references({"#ids": reference}, RESPONSES, Budget(octets, "It"))
    assert caught.value.type == "requestTooLarge"


def test_references_that_multiply_come_to_an_end() -> None:
    budget = Budget(100_000, "It")
    responses: list[tuple[str, dict[str, object], str]] = [("Core/echo", {"x": "y"}, "c0")]
    with pytest.raises(MethodError) as caught:
        for call in range(15):
            reference = {"resultOf": f"c{call}", "name": "Core/echo", "path": ""}
            arguments = {f"#a{i}": reference for i in range(10)}
            resolved = resolve_references(arguments, responses, budget)
            responses.append(("Core/echo", resolved, f"c{call + 1}"))
    assert caught.value.type == "requestTooLarge"
    assert len(msgspec.json.encode(responses)) < 200_000

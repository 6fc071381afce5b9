"""Request objects: what is I-JSON and what is a Request (RFC 8620 §3.3, RFC 7493)."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.jmap.envelope import Response, decode_request
from mailhive.jmap.errors import RequestError

CORE = "urn:ietf:params:jmap:core"


def kind_of(raw: bytes) -> str | None:
    with pytest.raises(RequestError) as caught:
        decode_request(raw)
    return caught.value.kind


def request(arguments: str) -> bytes:
    return b'{"using":[],"methodCalls":[["Core/echo",%s,"c"]]}' % arguments.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"a":1}x',
        b"\xff\xfe",
        b'{"a":"\xed\xa0\x80"}',
        request('{"a":NaN}'),
        request('{"a":1e400}'),
        request('{"a":"\\ud800"}'),
        request('{"a":"\\udc00x"}'),
        request('{"a":1,"a":2}'),
        request('{"a":{"b":1,"c":2,"b":3}}'),
        request('{"a":"\\"","a":":"}'),
        request("[" * 100_000 + "]" * 100_000),
        request('{"a":' + "[" * 300 + "]" * 300 + "}"),
    ],
)
def test_what_is_not_i_json_is_not_json(raw: bytes) -> None:
    assert kind_of(raw) == "notJSON"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"foo": "bar"},
        {"using": CORE, "methodCalls": []},
        {"using": [1], "methodCalls": []},
        {"using": [CORE]},
        {"using": [CORE], "methodCalls": {}},
        {"using": [CORE], "methodCalls": [["Core/echo", {}]]},
        {"using": [CORE], "methodCalls": [["Core/echo", [], "c"]]},
        {"using": [CORE], "methodCalls": [["Core/echo", {}, 1]]},
        {"using": [CORE], "methodCalls": [], "createdIds": {"a b": "x"}},
    ],
)
def test_what_is_not_a_request(value: object) -> None:
    assert kind_of(json.dumps(value).encode()) == "notRequest"


def test_unknown_properties_are_ignored() -> None:
    decoded = decode_request(b'{"using":["u"],"methodCalls":[["m",{"a":1},"c"]],"x":{"y":1}}')
    assert decoded.using == ("u",)
    assert decoded.method_calls == (("m", {"a": 1}, "c"),)
    assert decoded.created_ids is None


def test_long_integers_keep_their_value() -> None:
    decoded = decode_request(request('{"a":12345678901234567890123}'))
    assert decoded.method_calls[0][1] == {"a": 12345678901234567890123}


def test_colons_and_quotes_in_strings_are_no_members() -> None:
    arguments = {'a":"b': ':":"\\":', "c\\": {"d": [{"e:": 1}, {"e:": 2}]}}
    decoded = decode_request(request(json.dumps(arguments)))
    assert decoded.method_calls[0][1] == arguments


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_arguments_come_through(arguments: dict[str, object]) -> None:
    decoded = decode_request(request(json.dumps(arguments)))
    assert decoded.method_calls[0][1] == arguments


@given(st.binary(max_size=200))
def test_any_octets_are_refused_or_read(raw: bytes) -> None:
    try:
        decode_request(raw)
    except RequestError as error:
        assert error.problem()["status"] == 400


def test_created_ids_are_answered_only_if_they_were_given() -> None:
    response = Response([("m", {"list": msgspec.Raw(b"[1]")}, "c")], None, "s")
    assert json.loads(response.encode()) == {
        "methodResponses": [["m", {"list": [1]}, "c"]],
        "sessionState": "s",
    }
    response.created_ids = {}
    assert json.loads(response.encode())["createdIds"] == {}

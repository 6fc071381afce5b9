from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.relay.sts import Policy, parse_policy, record_id

TEXT = (
    "version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmx: *.B.example\r\nmax_age: 86400\r\n"
)


def test_a_policy() -> None:
    policy = parse_policy(TEXT)
    assert policy == Policy("enforce", ("mx.a.example", "*.b.example"), 86400)
    for host, allowed in {
        "mx.a.example": True,
        "MX.A.example.": True,
        "x.mx.a.example": False,
        "mx.b.example": True,
        "b.example": False,
        "a.mx.b.example": False,
    }.items():
        assert policy.allows(host) is allowed
    assert parse_policy(TEXT.replace("\r", "") + "more: things").mode == "enforce"
    assert parse_policy(TEXT + "max_age: 5").max_age == 86400
    assert parse_policy("version: STSv1\nmode: none\nmax_age: 9999999999").max_age == 31_557_600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        TEXT.replace("STSv1", "STSv2"),
        TEXT.replace("enforce", "demand"),
        TEXT.replace("86400", "-1"),
        TEXT.replace("86400", ""),
        TEXT.replace("mx: mx.a.example", "mx: *"),
        "version: STSv1\nmode: enforce\nmax_age: 1",
    ],
)
def test_no_policy(text: str) -> None:
    with pytest.raises(ValueError):
        parse_policy(text)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    record_id([text])
    with suppress(ValueError):
        parse_policy(TEXT + text)


def test_records() -> None:
    assert record_id(["v=STSv1; id=20160831085700Z;"]) == "20160831085700Z"
    assert record_id(["other", "v=STSv1;a=b;id=1"]) == "1"
    assert record_id([]) is None
    assert record_id(["v=STSv1; id=1", "v=STSv1; id=2"]) is None
    assert record_id(["v=STSv1; id=a-b"]) is None
    assert record_id(["v=STSv1"]) is None

"""Range requests (RFC 9110 §14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.http.ranges import Unsatisfiable, entity_tag, matches, requested_range

TAG = entity_tag("babc")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-500", (2, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("BYTES= 1-2 ", (1, 3)),
        ("bytes=0-0,2-3", None),  # several ranges: the whole
        ("bytes=5-2", None),  # invalid: ignored
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=٣-٤", None),
    ],
)
def test_range_of_ten_octets(header, expected):
    assert requested_range(header, 10, if_range=None, tag=TAG) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_range_beyond_the_end(header):
    with pytest.raises(Unsatisfiable):
        requested_range(header, 10, if_range=None, tag=TAG)


def test_no_range_of_an_empty_blob_is_satisfiable():
    for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        with pytest.raises(Unsatisfiable):
            requested_range(header, 0, if_range=None, tag=TAG)


@pytest.mark.parametrize(
    ("if_range", "honoured"),
    [
        (TAG, True),
        ('"other"', False),
        ("W/" + TAG, False),
        ("Sat, 21 Nov 2026 12:00:00 GMT", False),
    ],
)
def test_if_range_compares_strongly(if_range, honoured):
    part = requested_range("bytes=1-2", 10, if_range=if_range, tag=TAG)
    assert part == ((1, 3) if honoured else None)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("*", True),
        (TAG, True),
        ("W/" + TAG, True),
        ('"a", ' + TAG, True),
        ('"a,b", "c"', False),
        ("babc", False),
        ("", False),
    ],
)
def test_if_none_match(header, expected):
    assert matches(header, TAG) is expected


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}"), st.integers(0, 100))
def test_any_range_is_inside(header, size):
    try:
        part = requested_range(header, size, if_range=None, tag=TAG)
    except Unsatisfiable:
        return
    if part is not None:
        start, end = part
        assert 0 <= start < end <= size

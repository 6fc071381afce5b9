"""Ids, dates, windows, blob ids and collations."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mailhive.model.blobid import BlobSlice, join_blob_id, split_blob_id
from mailhive.model.collation import ascii_casemap, ascii_numeric, unicode_casemap
from mailhive.model.ids import are_all_ids, decode_id, encode_id, is_id
from mailhive.model.utcdate import format_date, format_utc_date, parse_date, parse_utc_date
from mailhive.model.window import Window


@given(st.integers(1, 2**63 - 1))
def test_numbers_survive_as_ids(number: int) -> None:
    wire = encode_id("M", number)
    assert is_id(wire)
    assert decode_id("M", wire) == number
    assert decode_id("E", wire) is None


@pytest.mark.parametrize("wire", ["", "M", "M0", "M01", "MZ", "M1A", "M" + "v" * 14, "m1", "M-1"])
def test_ids_never_given_out(wire: str) -> None:
    assert decode_id("M", wire) is None


@pytest.mark.parametrize("value", ["", "a b", "a/b", "é", "x" * 256, None, 1, "a\n"])
def test_what_is_no_id(value: object) -> None:
    assert not is_id(value)


@given(
    st.lists(
        st.sampled_from(["", "a", "M1-_", "x" * 255, "x" * 256, "a b", "\n", "a\nb", "\u0661"])
    )
)
def test_ids_together_are_ids_one_by_one(values):
    assert are_all_ids(values) == all(map(is_id, values))


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2014-10-30T06:12:00Z", 1414649520000),
        ("2014-10-30T06:12:00.5Z", 1414649520500),
        ("1969-12-31T23:59:59Z", -1000),
        ("0001-01-01T00:00:00Z", -62135596800000),
    ],
)
def test_utc_dates(text: str, millis: int) -> None:
    assert parse_utc_date(text) == millis
    assert format_utc_date(millis) == text


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("2014-10-30T06:12:00.000Z", 1414649520000),
        ("2014-10-30T06:12:00.120Z", 1414649520120),
        ("2014-10-30T06:12:00.05Z", 1414649520050),
        ("2014-10-30T06:12:00.1239999Z", 1414649520123),
    ],
)
def test_fractions_as_clients_write_them(text: str, millis: int) -> None:
    assert parse_utc_date(text) == millis


@pytest.mark.parametrize(
    "text",
    [
        "2014-10-30T14:12:00+08:00", "2014-10-30t06:12:00Z", "2014-10-30T06:12:00.Z",
        "2014-13-30T06:12:00Z", "2014-10-30 06:12:00Z", "2014-10-30T25:12:00Z", "", None, 5,
        "2014-10-30T06:12:99Z", "２014-10-30T06:12:00Z",
    ],
)  # fmt: skip
def test_what_is_no_utc_date(text: object) -> None:
    with pytest.raises(ValueError):
        parse_utc_date(text)


def test_dates_have_an_offset() -> None:
    millis = parse_date("2014-10-30T14:12:00+08:00")
    assert millis == parse_utc_date("2014-10-30T06:12:00Z")
    assert format_date(millis, 480) == "2014-10-30T14:12:00+08:00"
    assert format_date(millis, -90) == "2014-10-30T04:42:00-01:30"
    with pytest.raises(ValueError):
        parse_date("2014-10-30T14:12:00+24:00")


@given(st.integers(-62135596800000, 253402300799999))
def test_every_date_comes_back(millis: int) -> None:
    assert parse_utc_date(format_utc_date(millis)) == millis


@pytest.mark.parametrize(
    ("window", "anchor", "bounds"),
    [
        (Window(), None, (0, 10)),
        (Window(position=3, limit=4), None, (3, 7)),
        (Window(position=-3), None, (7, 10)),
        (Window(position=-30, limit=2), None, (0, 2)),
        (Window(position=99), None, (99, 99)),
        (Window(position=8, limit=5), None, (8, 10)),
        (Window(position=7, anchor="x", anchor_offset=-2, limit=3), 5, (3, 6)),
        (Window(anchor="x", anchor_offset=-9), 5, (0, 10)),
        (Window(anchor="x", anchor_offset=9), 5, (14, 14)),
        (Window(limit=0), None, (0, 0)),
    ],
)
def test_windows(window: Window, anchor: int | None, bounds: tuple[int, int]) -> None:
    assert window.bounds(10, anchor) == bounds


SLICES = st.builds(BlobSlice, st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from("nbq"))


@given(st.lists(SLICES, max_size=4))
def test_slices_nest(slices: list[BlobSlice]) -> None:
    blob_id = "bxyz"
    expected: list[BlobSlice] = []
    for part in slices:
        blob_id = join_blob_id(blob_id, part)
        if expected and expected[-1].encoding == "n":  # the slice of a slice is a slice
            part = evolve(part, start=expected.pop().start + part.start)
        expected.append(part)
    assert is_id(blob_id)
    assert split_blob_id(blob_id) == ("bxyz", tuple(expected))


def test_ids_of_messages_in_messages_do_not_grow() -> None:
    blob_id = "bxyz"
    for _ in range(100):
        blob_id = join_blob_id(blob_id, BlobSlice(10, 1000, "n"))
    assert join_blob_id(blob_id, BlobSlice(5, 9, "b")) == "bxyz_1005_9_b"


@pytest.mark.parametrize("blob_id", ["b_1", "b_1_2", "b_1_2_x", "b_1_2_n_", "b_-1_2_n", "_"])
def test_what_is_no_slice_names_no_blob(blob_id: str) -> None:
    assert split_blob_id(blob_id) == (blob_id, ())


def test_collations() -> None:
    assert ascii_casemap("aÉé") == "AÉé"
    assert unicode_casemap("straße É") == unicode_casemap("STRAßE é")
    assert unicode_casemap("Ａ") == "A"
    assert sorted(["10", "9", "x", "", "9b"], key=ascii_numeric) == ["9", "9b", "10", "x", ""]

"""Sizes and durations, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0B", 0), ("1B", 1), ("2K", 2_000), ("10M", 10_000_000), ("3G", 3_000_000_000), (77, 77)],
)
def test_size(text: object, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7_200), ("1d", 86_400), (9, 9)]
)
def test_duration(text: object, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "M", "1.5M", "10 M", "10MB", "10m", "-1M", "١M", "1" * 20 + "B", True, 1.5, None]
)
def test_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="a size is a whole number and one of B K M G"):
        parse_size(value)


@pytest.mark.parametrize("value", ["", "s", "1.5h", "5M", "1w", -3, False, []])
def test_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="a duration is a whole number and one of s m h d"):
        parse_duration(value)


@given(st.integers(0, 10**12 - 1))
def test_written_sizes_are_read(octets: int) -> None:
    assert parse_size(format_size(octets)) == octets


@given(st.integers(0, 10**9))
def test_written_durations_are_read(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_shortest_form() -> None:
    assert [format_size(n) for n in (0, 999, 1_500, 20_000_000)] == ["0B", "999B", "1500B", "20M"]
    assert [format_duration(n) for n in (0, 90, 300, 86_400)] == ["0s", "90s", "5m", "1d"]

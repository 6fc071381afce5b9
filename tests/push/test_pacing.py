"""When a push is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.push.pacing import LONGEST, MOST_PATIENCE, SLOWED, Pacing, retry_after

PACING = Pacing(throttle=1_000, pause=10_000, random=lambda: 0.0)


def test_pauses_double_and_end_at_an_hour() -> None:
    pauses = [PACING.pause_after(failures, 1_000, None) for failures in range(1, 12)]
    assert pauses[:4] == [10_000, 20_000, 40_000, 80_000]
    assert pauses[-1] == LONGEST == PACING.pause_after(10_000, 1_000, None)


@given(st.integers(1, 100), st.integers(1_000, LONGEST), st.floats(0, 1, exclude_max=True))
def test_pauses_are_spread(failures: int, interval: int, chance: float) -> None:
    least = PACING.pause_after(failures, interval, None)
    pause = Pacing(1_000, 10_000, lambda: chance).pause_after(failures, interval, None)
    assert least <= pause <= least * 3 // 2


def test_who_says_how_long_is_believed() -> None:
    assert PACING.pause_after(1, 1_000, 77_000) == 77_000
    assert PACING.pause_after(9, 1_000, 2_000) == 2_000
    assert PACING.pause_after(1, 5_000, 0) == 5_000
    assert PACING.pause_after(1, 1_000, 10**12) == MOST_PATIENCE


def test_who_had_too_much_gets_less_and_then_more_again() -> None:
    interval = PACING.after_429(1_000)
    assert interval == SLOWED
    assert PACING.after_429(interval) == 2 * SLOWED
    assert PACING.after_429(LONGEST) == LONGEST
    for _ in range(100):
        interval = PACING.after_success(interval)
    assert interval == 1_000


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0),
        (" 120 ", 120_000),
        ("9" * 5_000, 999_999_999_000),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Jan 1970 00:02:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, wait: int | None) -> None:
    assert retry_after(value, 100_000) == wait

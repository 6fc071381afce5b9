"""Token buckets."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailhive.model.rates import Buckets, Rate

STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4), st.sampled_from("ab")))


@given(st.integers(1, 6), st.integers(1, 30), STEPS)
def test_buckets_are_buckets(
    count: int, seconds: int, steps: Sequence[tuple[int, int, str]]
) -> None:
    """The same as counting tokens: whole numbers of `seconds` times tokens, so nothing rounds."""
    clock = Clock()
    buckets = Buckets(Rate(count, seconds), clock.seconds)
    most = count * seconds
    tokens = {"a": most, "b": most}
    for pause, wanted, key in steps:
        clock.advance(pause)
        for name in tokens:
            tokens[name] = min(most, tokens[name] + pause * count)
        cost = wanted * seconds
        expected = 0.0 if cost <= tokens[key] else (cost - tokens[key]) / count
        if cost > most:
            expected = float("inf")
        assert buckets.wait(key, wanted) == pytest.approx(expected)
        assert buckets.take(key, wanted) == pytest.approx(expected)
        if not expected:
            tokens[key] -= cost


@given(st.integers(1, 5), st.floats(0.1, 100), st.lists(st.floats(0, 50), max_size=40))
def test_there_is_never_more_than_the_rate(count: int, seconds: float, pauses: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(Rate(count, seconds), clock.seconds)
    taken: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        if not buckets.take("key"):
            taken.append(clock.seconds())
    for i, first in enumerate(taken):
        for j in range(i, len(taken)):
            assert j - i + 1 <= count + (taken[j] - first) * count / seconds + 1e-3


@given(st.integers(1, 5), st.floats(0.1, 100))
def test_waiting_helps(count: int, seconds: float) -> None:
    clock = Clock()
    clock.advance(1_700_000_000)
    buckets = Buckets(Rate(count, seconds), clock.seconds)
    for _ in range(3 * count):
        clock.advance(buckets.wait("key"))
        assert not buckets.take("key")


def test_memory_is_bounded() -> None:
    clock = Clock()
    buckets = Buckets(Rate(1, 60.0), clock.seconds, most=3)
    for key in range(4):
        assert not buckets.take(key)
    assert buckets.wait(3) and buckets.wait(1)
    assert not buckets.wait(0)  # forgotten


def test_a_clock_that_is_put_back() -> None:
    """Nobody waits for longer than a bucket takes to fill."""
    time = [1e9]
    buckets = Buckets(Rate(2, 60.0), lambda: time[0])
    assert buckets.take("a", 2) == 0.0
    time[0] -= 86_400
    assert 0 < buckets.take("a") <= 60
    time[0] += 60
    assert buckets.take("a") == 0.0


def test_what_others_took_empties_a_bucket_and_leaves_no_debt() -> None:
    clock = Clock()
    buckets = Buckets(Rate(4, 8.0), clock.seconds)
    assert not buckets.take("a", 4)
    clock.advance(3.0)  # one and a half are back
    buckets.hear("a", 2)
    assert buckets.wait("a") == pytest.approx(2.0)
    buckets.hear("a", 100)
    assert buckets.wait("a") == pytest.approx(2.0)
    clock.advance(2.0)
    assert not buckets.take("a")
    assert buckets.wait("b") == 0.0

"""Ranges of a message that are read apart from the rest."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailhive.mime.excerpts import read_excerpts

MESSAGE = bytes(range(256)) * 200

offsets = st.integers(0, len(MESSAGE))


def reads(ranges):
    """What is read for `ranges`, and the excerpts that come of it."""
    asked = []

    async def read(start, length):
        asked.append((start, length))
        return MESSAGE[start : start + length]

    done = Deferred.fromCoroutine(read_excerpts(read, ranges))
    found = []
    done.addCallback(found.append)
    return asked, found[0]


@given(st.dictionaries(offsets, st.integers(0, 9_000), max_size=8))
def test_each_range_is_what_the_message_has_there(ranges):
    ranges = {start: min(length, len(MESSAGE) - start) for start, length in ranges.items()}
    asked, excerpts = reads(ranges)
    for start, length in ranges.items():
        assert excerpts[start : start + length] == MESSAGE[start : start + length]
    assert sum(length for _, length in asked) <= sum(ranges.values()) + 4_096 * len(ranges)


def test_what_lies_near_is_read_at_once():
    asked, _ = reads({100: 50, 4_000: 100, 30_000: 10})
    assert asked == [(100, 4_000), (30_000, 10)]

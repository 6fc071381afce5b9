"""Destinations that take so many messages in a while."""

from twisted.internet.task import Clock

from mailhive.model.rates import Rate
from mailhive.queue.pace import Pace


def test_who_waits_is_known() -> None:
    clock = Clock()
    pace = Pace(clock.seconds)
    slow = Rate(2, 60.0)
    assert [pace.take("a", slow) for _ in range(3)] == [True, True, False]
    assert pace.take("b", slow) and all(pace.take("c", None) for _ in range(9))
    assert pace.waiting() == {"a": 30.0}
    clock.advance(30)
    assert pace.waiting() == {}
    assert [pace.take("a", slow) for _ in range(2)] == [True, False]

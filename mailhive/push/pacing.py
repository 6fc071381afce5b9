"""When to push again: after how something went, without I/O.

A push service that fails is tried again, ever more seldom; one that says how long
to wait is believed; one that has had too much (429) is given less from then on,
and with each success a little more again.
"""

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from attrs import frozen

__all__ = ["MOST_FAILURES", "Pacing", "retry_after"]

#: Milliseconds; pauses after a failure double up to this one.
LONGEST = 3_600_000
#: A Retry-After is believed up to this.
MOST_PATIENCE = 86_400_000
#: Milliseconds between two pushes, at least, once a push service has had too much.
SLOWED = 2_000
#: Failures in a row after which a subscription is destroyed: while it is not
#: verified, which is some minutes by default, and once it is: about three days.
MOST_FAILURES = {False: 6, True: 80}


@frozen
class Pacing:
    """`throttle` is the time from one push to the next, `pause` the one after a failure.

    Milliseconds, as all times here.  `random()` is in [0, 1).
    """

    throttle: int
    pause: int
    random: Callable[[], float]

    def after_success(self, interval: int) -> int:
        """The new interval: a tenth less, but not below `throttle`."""
        return max(self.throttle, interval * 9 // 10)

    def after_429(self, interval: int) -> int:
        """The new interval of who had too much (RFC 8620 §7.2): twice as long."""
        return min(LONGEST, max(SLOWED, interval * 2))

    def pause_after(self, failures: int, interval: int, wait: int | None) -> int:
        """How long to wait after so many failures in a row; `wait` is a Retry-After."""
        if wait is not None:
            return max(interval, min(wait, MOST_PATIENCE))
        pause = min(LONGEST, self.pause << min(failures - 1, 30))
        # Spread, so that not all subscribers of a service that was down come at once.
        return max(interval, pause + int(pause * self.random() / 2))


def retry_after(value: str | None, now: int) -> int | None:
    """Milliseconds from now of a Retry-After (RFC 9110 §10.2.3); None for none or nonsense."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return int(value[:9]) * 1000
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0, round(when.timestamp() * 1000) - now)

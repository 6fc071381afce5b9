"""How much one user may send in an hour, whichever way."""

from collections.abc import Callable

from mailhive.config.relay import QueueSettings
from mailhive.model.rates import Buckets, Rate

__all__ = ["SendingRates"]

_HOUR = 3_600.0


class SendingRates:
    """Counts what users submit by JMAP and by submission listeners together.

    `clock()` is the time in seconds.  What was counted is forgotten with the process.
    Several processes `tell` each other what they have counted.
    """

    def __init__(self, settings: QueueSettings, clock: Callable[[], float]) -> None:
        self._messages = _hourly(settings.user_messages_per_hour, clock)
        self._recipients = _hourly(settings.user_recipients_per_hour, clock)
        #: Called with what the `hear` of other processes is to be called with.
        self.tell: Callable[[str, int], None] = _nobody

    @property
    def is_limited(self) -> bool:
        """Is there a limit?"""
        return bool(self._messages or self._recipients)

    def take(self, user: str, recipients: int) -> str | None:
        """Count a message of a user; or why it may not be sent now, for the user to read."""
        messages, all_recipients = self._messages, self._recipients
        if messages is not None and messages.wait(user):
            return f"You may send {messages.rate.count} messages in an hour"
        if all_recipients is not None and all_recipients.take(user, recipients):
            return f"You may send to {all_recipients.rate.count} recipients in an hour"
        if messages is not None:
            messages.take(user)
        self.tell(user, recipients)
        return None

    def hear(self, user: str, recipients: int) -> None:
        """Count a message that another process has let go."""
        for buckets, count in ((self._messages, 1), (self._recipients, recipients)):
            if buckets is not None:
                buckets.take(user, count)


def _nobody(*_: object) -> None:
    """There is no other process."""


def _hourly(count: int | None, clock: Callable[[], float]) -> Buckets | None:
    return None if count is None else Buckets(Rate(count, _HOUR), clock)

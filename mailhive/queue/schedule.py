"""What follows from an attempt: another one, and when, or the end; and who is told."""

import random
from collections.abc import Mapping

from attrs import frozen

from mailhive.model.envelope import RecipientOutcome

__all__ = ["PAUSES", "Next", "after", "success_action"]

#: Seconds between attempts; the last one again and again (RFC 5321 §4.5.4.1).
PAUSES = (60, 300, 900, 1_800, 3_600, 7_200, 14_400)
#: How much a pause may differ, so that what failed together is not tried together.
JITTER = 0.1

_REPLY_LIMIT = 1_000

_random = random.SystemRandom()


@frozen
class Next:
    """What becomes of a recipient.

    `delivered` and `reply` are as in `RecipientStatus`; `due_at` is the time of the
    next attempt, None if there is none.  `report` is an Action of RFC 3464 §2.3.3 if
    the sender is to be told.
    """

    address: str
    delivered: str
    reply: str
    due_at: int | None
    report: str | None = None
    host: str = ""


def after(
    outcome: RecipientOutcome,
    *,
    relays: bool,
    attempts: int,
    submitted_at: int,
    now: int,
    life: float,
    warn_after: float,
    warned: bool,
    has_sender: bool,
    parameters: Mapping[str, str | None],
) -> Next:
    """Decide.  Times are milliseconds, `life` and `warn_after` seconds; `attempts` with this one.

    `parameters` are those of the RCPT command.
    """
    wanted = _Wanted.of(parameters, has_sender=has_sender)
    reply = f"{outcome.code} {outcome.enhanced} {outcome.text}"[:_REPLY_LIMIT]
    age = (now - submitted_at) / 1000
    delivered, due_at, report = "no", None, wanted.failure
    if outcome.code < 300:
        delivered = "unknown" if relays or outcome.notifies else "yes"
        report = None
        if wanted.success and not outcome.notifies:
            report = "relayed" if relays else success_action(outcome)  # RFC 3461 §5.2.4
    elif outcome.code >= 500:
        pass
    elif age > life:
        days = round(life / 86_400) or 1
        # RFC 3463 §3.5: X.4.7, delivery time expired.
        reply = f"550 5.4.7 Given up after {days} day{'s' * (days > 1)}: {reply}"[:_REPLY_LIMIT]
    else:
        pause = PAUSES[min(attempts, len(PAUSES)) - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
        delivered, due_at = "queued", now + int(pause * 1000)
        report = wanted.delay if age > warn_after and not warned else None
    return Next(outcome.recipient, delivered, reply, due_at, report, outcome.host)


def success_action(outcome: RecipientOutcome) -> str:
    """The Action to report of a recipient who has the message (RFC 3461 §5.2.3, §5.2.7)."""
    return "expanded" if outcome.is_expanded else "delivered"


@frozen
class _Wanted:
    """The reports that the sender wants of a recipient (RFC 3461 §4.1, §5.2)."""

    success: bool
    failure: str | None
    delay: str | None

    @classmethod
    def of(cls, parameters: Mapping[str, str | None], *, has_sender: bool) -> "_Wanted":
        given = parameters.get("NOTIFY")
        # RFC 3461 §5.2.1: without NOTIFY, failures and perhaps delays are told.
        words = set((given or "FAILURE,DELAY").upper().split(",")) if has_sender else set()
        return cls(
            success="SUCCESS" in words,
            failure="failed" if "FAILURE" in words else None,
            delay="delayed" if "DELAY" in words else None,
        )

from typing import Any

import pytest

from mailhive.model.envelope import RecipientOutcome
from mailhive.queue.schedule import JITTER, PAUSES, Next, after

DAY = 86_400_000


def follows(code: int, **more: Any) -> Next:
    notifies, is_expanded = more.pop("notifies", False), more.pop("is_expanded", False)
    notify = more.pop("notify", None)
    given = {
        "relays": True,
        "attempts": 1,
        "submitted_at": 0,
        "now": 1000,
        "life": 5 * 86_400,
        "warn_after": 4 * 3600,
        "warned": False,
        "has_sender": True,
        "parameters": {} if notify is None else {"NOTIFY": notify},
    } | more
    outcome = RecipientOutcome(
        "b@x.example", code, f"{code // 100}.0.0", "So", "mx", notifies, is_expanded
    )
    return after(outcome, **given)


def test_what_was_taken_is_done() -> None:
    assert follows(250) == Next("b@x.example", "unknown", "250 2.0.0 So", None, None, "mx")
    assert follows(250, relays=False).delivered == "yes"
    assert follows(250, relays=False, notifies=True).delivered == "unknown"


def test_what_was_refused_is_done_and_told() -> None:
    assert follows(550) == Next("b@x.example", "no", "550 5.0.0 So", None, "failed", "mx")
    assert follows(550, has_sender=False).report is None


@pytest.mark.parametrize("attempts", range(1, 12))
def test_pauses_grow(attempts: int) -> None:
    pause = PAUSES[min(attempts, len(PAUSES)) - 1] * 1000
    found = follows(450, attempts=attempts)
    assert found.delivered == "queued" and found.report is None and found.due_at is not None
    assert pause * (1 - JITTER) <= found.due_at - 1000 <= pause * (1 + JITTER)


def test_an_old_message_is_given_up() -> None:
    found = follows(450, now=5 * DAY + 1000)
    assert (found.delivered, found.due_at, found.report) == ("no", None, "failed")
    assert found.reply == "550 5.4.7 Given up after 5 days: 450 4.0.0 So"


def test_a_delay_is_told_once() -> None:
    assert follows(450, now=4 * 3_600_000).report is None
    assert follows(450, now=4 * 3_600_000 + 1).report == "delayed"
    assert follows(450, now=DAY, warned=True).report is None


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        (None, {"failed", "delayed"}),
        ("NEVER", set()),
        ("success", {"relayed", "delivered", "expanded"}),
        ("FAILURE", {"failed"}),
        ("DELAY,SUCCESS", {"delayed", "relayed", "delivered", "expanded"}),
    ],
)
def test_reports_that_the_sender_asked_for(notify: str | None, told: set[str]) -> None:
    reports = {
        "failed": follows(550, notify=notify),
        "delayed": follows(450, now=DAY, notify=notify),
        "relayed": follows(250, notify=notify),
        "delivered": follows(250, notify=notify, relays=False),
        "expanded": follows(250, notify=notify, relays=False, is_expanded=True),
    }
    for action, found in reports.items():
        assert found.report == (action if action in told else None)
    # RFC 3461 §5.2.2: the next server does it.
    assert follows(250, notify=notify, notifies=True).report is None

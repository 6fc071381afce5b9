"""EmailSubmission/set: how much a user may send in an hour (RFC 8620 §5.3)."""

import pytest_twisted
from twisted.internet.task import Clock

from mailhive.config.relay import QueueSettings
from mailhive.mail.sending_rates import SendingRates
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores
from mailhive.testing.sender import Sender

ALICE = Principal("alice", emails=("alice@example.org",))
BOB = Principal("bob", emails=("bob@example.org",))


def test_users_are_counted() -> None:
    clock = Clock()
    settings = QueueSettings(user_messages_per_hour=3, user_recipients_per_hour=10)
    rates = SendingRates(settings, clock.seconds)
    assert rates.take("a", 8) is None
    assert rates.take("a", 3) == "You may send to 10 recipients in an hour"
    assert rates.take("b", 3) is None
    assert [rates.take("a", 1) for _ in range(2)] == [None, None]
    assert rates.take("a", 1) == "You may send 3 messages in an hour"
    clock.advance(1_200)
    assert rates.take("a", 3) is None
    assert rates.take("c", 11) is not None
    unlimited = SendingRates(QueueSettings(), clock.seconds)
    assert unlimited.take("a", 1_000_000) is None


@pytest_twisted.ensureDeferred
async def test_more_is_refused(stores: LocalStores) -> None:
    await Sender.of(stores, BOB)
    alice = await Sender.of(stores, ALICE, QueueSettings(user_messages_per_hour=1))
    await alice.send()
    error = await alice.refused()
    assert error["type"] == "rateLimit"
    assert error["description"] == "You may send 1 messages in an hour"


@pytest_twisted.ensureDeferred
async def test_what_may_not_be_sent_is_not_counted(stores: LocalStores) -> None:
    await Sender.of(stores, BOB)
    alice = await Sender.of(stores, ALICE, QueueSettings(user_messages_per_hour=1))
    assert (await alice.refused(identityId="nope"))["type"] == "invalidProperties"
    await alice.send()

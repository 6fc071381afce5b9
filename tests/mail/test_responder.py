"""Vacation responses to mail that was really delivered."""

from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from mailhive.errors import TemporaryFailure
from mailhive.mail import responder as module
from mailhive.mail.delivery import Delivered, LocalDelivery
from mailhive.mail.responder import VacationResponder
from mailhive.model.envelope import Envelope
from mailhive.model.outbound import OutboundMessage
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

ALICE = Principal("alice", description="Alice", emails=("alice@example.org",))
BEN = Principal("ben", emails=("ben@example.org",))
MESSAGE = (
    b"To: alice@example.org, ben@example.org\r\nSubject: hi\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n"
)
WEEK = 7 * 86_400.0


@define
class Outbox:
    """As much of an outbox as the responder needs: what it was given."""

    messages: list[OutboundMessage] = field(factory=list)
    is_down: bool = False

    def submit(self, message: OutboundMessage, *, held: bool = False) -> Deferred[None]:
        if self.is_down:
            return fail(TemporaryFailure("the outbox is down"))
        self.messages.append(message)
        return succeed(None)


@define
class Post:
    """Delivery with a responder whose clock goes when it is told to."""

    stores: LocalStores
    clock: Clock
    outbox: Outbox
    responder: VacationResponder
    delivery: LocalDelivery

    async def deliver(self, sender: str, raw: bytes = MESSAGE, *to: str) -> list[OutboundMessage]:
        """Deliver a message; what was sent out on its account."""
        before = len(self.outbox.messages)
        with self.stores.blob_store.hold():
            writer = self.stores.blob_store.open_writer()
            writer.write(raw)
            blob_id = await writer.commit()
            envelope = Envelope(sender, to or ("alice@example.org",))
            outcomes = await self.delivery.deliver(envelope, blob_id)
        assert {outcome.code for outcome in outcomes} == {250}
        assert len(self.outbox.messages) == before  # nobody waited for it
        await self.settle()
        return self.outbox.messages[before:]

    async def settle(self) -> None:
        self.clock.advance(0)
        while self.responder._waiting:
            await _turn(self.stores)

    async def text_of(self, message: OutboundMessage) -> str:
        raw: bytes = await self.stores.blob_store.read(message.blob_id)
        return raw.decode("ascii")


async def _turn(stores: LocalStores) -> None:
    turn: Deferred[None] = Deferred()
    stores.context.reactor.callLater(0.001, turn.callback, None)
    await turn


@pytest.fixture
def post(stores: LocalStores) -> Post:
    clock = Clock()
    clock.advance(1_772_323_200.0)  # 2026-03-01
    outbox = Outbox()
    responder = VacationResponder(
        store=stores.mail_store,
        blobs=stores.blob_store,
        outbox=outbox,
        offload=stores.context.offload,
        clock=clock,
        hostname="mail.example.org",
        period=WEEK,
    )
    delivery = LocalDelivery(
        directory=stores.directory,
        accounts=stores.accounts,
        blob_store=stores.blob_store,
        offload=stores.context.offload,
        now=lambda: int(clock.seconds() * 1000),
        observers=(responder,),
    )
    return Post(stores, clock, outbox, responder, delivery)


async def away(stores: LocalStores, principal: Principal = ALICE, **values: Any) -> LocalUser:
    """A user who is away."""
    user = await stores.user(principal)
    await change(user, isEnabled=True, textBody="I am away.", **values)
    return user


async def change(user: LocalUser, **values: Any) -> None:
    done = await user.call("VacationResponse/set", update={"singleton": values})
    assert done["updated"] == {"singleton": None}


@pytest_twisted.ensureDeferred
async def test_a_message_is_answered(stores, post):
    await away(stores, subject="Away until Monday")
    [message] = await post.deliver("bob@example.com")
    assert message.envelope == Envelope("", ("bob@example.com",))
    assert message.account_id is None
    text = await post.text_of(message)
    for line in (
        "From: Alice <alice@example.org>",
        "To: bob@example.com",
        "Subject: Away until Monday",
        "In-Reply-To: <1@x>",
        "References: <1@x>",
        "Auto-Submitted: auto-replied",
    ):
        assert f"\r\n{line}\r\n" in f"\r\n{text}", text
    assert text.endswith("\r\n\r\nI am away.")


@pytest_twisted.ensureDeferred
async def test_once_for_a_sender_and_a_period(stores, post):
    alice = await away(stores)
    assert len(await post.deliver("bob@example.com")) == 1
    assert await post.deliver("BOB@Example.COM") == []
    assert len(await post.deliver("carol@example.com")) == 1
    post.clock.advance(WEEK - 1)
    assert await post.deliver("bob@example.com") == []
    post.clock.advance(1)
    assert len(await post.deliver("bob@example.com")) == 1
    assert await post.deliver("bob@example.com") == []
    await change(alice, textBody="I am still away.")
    assert len(await post.deliver("bob@example.com")) == 1  # other words


@pytest_twisted.ensureDeferred
async def test_who_is_not_away_does_not_answer(stores, post):
    alice = await stores.user(ALICE)
    assert await post.deliver("bob@example.com") == []
    await change(alice, isEnabled=True, fromDate="2026-03-02T00:00:00Z")
    assert await post.deliver("bob@example.com") == []
    post.clock.advance(86_400)
    assert len(await post.deliver("bob@example.com")) == 1
    await change(alice, toDate="2026-03-02T00:00:00Z")
    assert await post.deliver("carol@example.com") == []
    await change(alice, toDate=None, isEnabled=False)
    assert await post.deliver("carol@example.com") == []


@pytest_twisted.ensureDeferred
async def test_what_is_not_to_be_answered_is_not(stores, post):
    await away(stores)
    assert await post.deliver("") == []
    assert await post.deliver("noreply@example.com") == []
    assert await post.deliver("bob@example.com", b"Precedence: bulk\r\n" + MESSAGE) == []
    assert await post.deliver("bob@example.com", b"Subject: not named\r\n\r\nHi\r\n") == []
    assert len(await post.deliver("bob@example.com")) == 1


@pytest_twisted.ensureDeferred
async def test_every_account_answers_for_itself(stores, post):
    await away(stores)
    await away(stores, BEN)
    both = ("alice@example.org", "ben@example.org")
    messages = await post.deliver("bob@example.com", MESSAGE, *both)
    texts = sorted([await post.text_of(message) for message in messages])
    assert [text.partition("\r\n")[0] for text in texts] == [
        "From: Alice <alice@example.org>",
        "From: ben@example.org",
    ]


@pytest_twisted.ensureDeferred
async def test_two_who_are_away_do_not_loop(stores, post):
    """Each gets the other's response, and lets it be."""
    await away(stores)
    await away(stores, BEN)
    [response] = await post.deliver("ben@example.org")
    raw = await stores.blob_store.read(response.blob_id)
    assert await post.deliver("alice@example.org", raw, "ben@example.org") == []
    assert await post.deliver("", raw, "ben@example.org") == []


@pytest_twisted.ensureDeferred
async def test_what_is_remembered_is_bounded(stores, post, monkeypatch):
    monkeypatch.setattr(module, "_MOST_SENDERS", 2)
    await away(stores)
    for name in ("a", "b", "c"):
        assert len(await post.deliver(f"{name}@example.com")) == 1
        post.clock.advance(1)
    assert await post.deliver("c@example.com") == []
    assert await post.deliver("b@example.com") == []
    assert len(await post.deliver("a@example.com")) == 1


@pytest_twisted.ensureDeferred
async def test_delivery_succeeds_whatever_becomes_of_the_response(stores, post):
    await away(stores)
    post.outbox.is_down = True
    with capturedLogs() as logs:
        assert await post.deliver("bob@example.com") == []
    assert [event["reason"] for event in logs if "reason" in event] == ["the outbox is down"]

    def broken(_: Delivered) -> None:
        raise RuntimeError("broken")

    post.delivery = evolve(post.delivery, observers=(broken,))
    with capturedLogs() as logs:
        assert await post.deliver("carol@example.com") == []
    assert [event["log_failure"].value.args for event in logs if "log_failure" in event] == [
        ("broken",)
    ]


@pytest_twisted.ensureDeferred
async def test_what_waits_to_be_answered_is_bounded(stores, post, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 0)
    await away(stores)
    with capturedLogs() as logs:
        assert await post.deliver("bob@example.com") == []
    assert any("Too much" in event.get("log_format", "") for event in logs)


@pytest_twisted.ensureDeferred
async def test_addresses_that_no_header_can_hold(stores, post):
    await away(stores)
    assert await post.deliver("b" * 2000 + "@example.com") == []

"""Logins by token at the submission listener: every strategy is asked."""

from types import SimpleNamespace

import pytest
import pytest_twisted
from attrs import define
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.authentication import IBearerTokens
from mailhive.model.envelope import Envelope
from mailhive.model.principal import Principal
from mailhive.smtp.events import Authenticate, MessageEnd, MessageStart
from mailhive.smtp.exchange import Token
from mailhive.smtp.submission import SubmissionSession
from mailhive.testing.memory import MemoryBlobStore

ALICE = Principal("alice", emails=("alice@example.org",))


@implementer(IBearerTokens)
@define
class Issuer:
    """Knows one token, or cannot tell."""

    token: str | None = None
    error: Exception | None = None

    def bearer(self, token, peer, service):
        assert (peer, service) == ("192.0.2.1", "smtp")
        if self.error is not None:
            return fail(self.error)
        return succeed(ALICE) if token == self.token else fail(AuthenticationFailed("no"))


DOWN = Issuer(error=TemporaryFailure("The provider is down"))


@pytest.mark.parametrize(
    ("strategies", "token", "code"),
    [
        ([Issuer("t")], Token("t", None), None),
        ([Issuer("t")], Token("t", "Alice@example.org"), None),
        ([Issuer("t")], Token("t", "bob"), 535),
        ([Issuer("x"), Issuer("t")], Token("t", None), None),
        ([DOWN, Issuer("t")], Token("t", None), None),
        ([DOWN, Issuer("x")], Token("t", None), 454),
        ([Issuer(error=NoAccount("nobody here")), Issuer("x")], Token("t", None), 535),
        ([object()], Token("t", None), 535),
    ],
)
@pytest_twisted.ensureDeferred
async def test_tokens(strategies, token, code):
    services = SimpleNamespace(
        strategies=strategies, blobs=None, delivery=None, hostname="mx.example"
    )
    session = SubmissionSession(
        services=services,
        max_hold=0,
        turns=DeferredSemaphore(4),
        listener="submission",
        peer="192.0.2.1",
        clock=Clock(),
        log=Logger(),
    )
    reply = await session.answer(Authenticate(token))
    assert (None if reply is None else reply.code) == code


def submission(services, turns=None):
    """A connection of alice, who has logged in."""
    session = SubmissionSession(
        services=services,
        max_hold=0,
        turns=turns or DeferredSemaphore(1),
        listener="submission",
        peer="192.0.2.1",
        clock=Clock(),
        log=Logger(),
    )
    session.visit.user = ALICE
    return session


async def submit(session, content):
    envelope = Envelope("alice@example.org", ("x@example.org",))
    await session.answer(MessageStart(envelope, "c.example", "ESMTPSA"))
    session.data(content)
    return await session.answer(MessageEnd())


NOBODYS = b"Subject: nobody wrote it\r\n\r\nHi\r\n"


@pytest_twisted.ensureDeferred
async def test_only_some_messages_are_in_memory_at_a_time():
    blobs, reading = MemoryBlobStore(), []
    read = blobs.read

    def slow(*args):
        gate = Deferred()
        gate.addCallback(lambda _: read(*args))
        reading.append(gate)
        return gate

    blobs.read = slow
    services = SimpleNamespace(blobs=blobs, delivery=None, hostname="mx.example", directory=None)
    turns = DeferredSemaphore(2)
    answers = [
        Deferred.fromCoroutine(submit(submission(services, turns), NOBODYS)) for _ in range(5)
    ]
    assert len(reading) == 2
    for count in range(5):
        reading[count].callback(None)
    assert [(await answer).code for answer in answers] == [550] * 5


@pytest_twisted.ensureDeferred
async def test_who_has_the_same_message_keeps_it():
    blobs = MemoryBlobStore()
    writer = blobs.open_writer()
    writer.write(NOBODYS)
    kept = await writer.commit()
    services = SimpleNamespace(blobs=blobs, delivery=None, hostname="mx.example", directory=None)
    assert (await submit(submission(services), NOBODYS)).code == 550
    assert await blobs.read(kept) == NOBODYS
    assert list(await blobs.older_than(float("inf"))) == [kept]

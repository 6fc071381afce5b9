"""Logins by token at the submission listener: every strategy is asked."""

from types import SimpleNamespace

import pytest
import pytest_twisted
from attrs import define
from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.auth.errors import AuthenticationFailed, NoAccount
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.authentication import IBearerTokens
from mailhive.model.principal import Principal
from mailhive.smtp.events import Authenticate
from mailhive.smtp.exchange import Token
from mailhive.smtp.submission import SubmissionSession

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
        listener="submission",
        peer="192.0.2.1",
        clock=Clock(),
        log=Logger(),
    )
    reply = await session.answer(Authenticate(token))
    assert (None if reply is None else reply.code) == code

"""The `ITransport` to other servers: for each message, the first server that listens.

One that hangs up before it has the message leaves it to the next (RFC 5321 §5.1); one that
may have it does not, or it would arrive twice.

Mail waits by domain, or by route where one is configured, so that a slow server
holds up nothing but its own mail.  A connection on which everything went well is
kept for a moment for the next message to the same destination.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.errors import TemporaryFailure
from mailhive.interfaces.outbox import ITransport
from mailhive.model.addresses import canonical_domain, split
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.rates import Rate
from mailhive.smtp import client
from mailhive.smtp.answers import outcome_of
from mailhive.smtp.client import MOST_RECIPIENTS, Disconnected, Refused, Session, TlsFailed
from mailhive.smtp.client_login import Login, log_in
from mailhive.smtp.limits import Limits
from mailhive.smtp.relay.connection import Connection
from mailhive.smtp.relay.content import StoredContent
from mailhive.smtp.relay.exchangers import NoMail
from mailhive.smtp.relay.idle import IdleSessions
from mailhive.smtp.relay.routes import Routes
from mailhive.smtp.relay.signing import Signer
from mailhive.smtp.relay.target import Demand, Security, Target
from mailhive.smtp.replies import SmtpReply

__all__ = ["RelayTransport"]

#: Transactions of one connection.
_MOST_TRANSACTIONS = 1_000
#: Addresses that one attempt tries.
_MOST_TARGETS = 10
#: Seconds after which it tries no other: servers that let us wait are left for later.
_LONGEST = 600.0

_NO_DOMAIN = SmtpReply(550, "5.1.3", "The address has no domain that mail can be for")
_NO_ANSWER = SmtpReply(451, "4.4.1", "No server of the domain answers")
_GONE = SmtpReply(451, "4.4.2", "")
_OUR_FAULT = SmtpReply(451, "4.3.0", "Cannot be sent now, trying again")
# RFC 8689 §4.2.1
_NO_REQUIRETLS = SmtpReply(550, "5.7.30", "The server does not support REQUIRETLS")
_NO_TLS = SmtpReply(550, "5.7.10", "")


@implementer(ITransport)
@define(eq=False, slots=False)
class RelayTransport(Service):
    """Takes whatever is left: mail for other servers."""

    routes: Routes
    blobs: Any  # IBlobStore
    hostname: str
    reactor: Any
    signer: Signer
    offload: Callable[..., Any]
    relays = True
    _idle: IdleSessions = field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._idle = IdleSessions(self.reactor)

    @property
    def at_once(self) -> int:
        return self.routes.settings.connections_per_destination

    @property
    def rate(self) -> Rate | None:
        count = self.routes.settings.messages_per_minute
        return None if count is None else Rate(count, 60.0)

    def destination(self, address: str) -> Deferred[str | None]:
        domain = canonical_domain(split(address)[1]) or ""
        route = self.routes.of(domain)
        return succeed(domain if route is None else f"{route.host}:{route.port or route.tls}")

    def deliver(self, envelope: Envelope, blob_id: str) -> Deferred[tuple[RecipientOutcome, ...]]:
        return Deferred.fromCoroutine(self._deliver(envelope, blob_id))

    def stopService(self) -> None:
        """Let idle connections go."""
        super().stopService()
        self._idle.close()

    async def _deliver(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        domain = canonical_domain(split(envelope.recipients[0])[1])
        if not domain:
            return tuple(outcome_of(address, _NO_DOMAIN) for address in envelope.recipients)
        signatures = await self.signer.signatures(blob_id)
        content = await StoredContent.of(self.blobs, blob_id, signatures)
        demand = _demand(envelope, content)
        outcomes: dict[str, RecipientOutcome] = {}
        left = envelope.recipients
        why: SmtpReply | None = None
        host, tried, began = "", 0, self.reactor.seconds()
        try:
            async for target in self.routes.targets(domain, demand):
                tried += 1
                host = target.host
                session, refusal = await self._reach(target, demand)
                if session is not None:
                    part = evolve(envelope, recipients=left)
                    told, refusal = await self._transfer(session, target, part, content)
                    outcomes |= told
                    left = tuple(address for address in left if address not in told)
                    if not left:
                        break
                self._log.info(
                    "{host} [{address}] does not take mail now: {why}",
                    host=target.host,
                    address=target.address,
                    why=str(refusal),
                )
                # Another server may be in a better mood, today or tomorrow: a refusal at this
                # stage is final only if all of them refuse.
                if why is None or why.code >= 500:
                    why = refusal
                if tried == _MOST_TARGETS or self.reactor.seconds() > began + _LONGEST:
                    break
        except NoMail as error:
            why = error.reply
        except TemporaryFailure as error:
            if why is None or why.code >= 500:
                why = SmtpReply(451, "4.4.3", str(error))
        for address in left:
            outcomes[address] = evolve(outcome_of(address, why or _NO_ANSWER), host=host)
        return tuple(outcomes[address] for address in envelope.recipients)

    async def _reach(
        self, target: Target, demand: Demand
    ) -> tuple[Session, None] | tuple[None, SmtpReply]:
        """A conversation that will do for the message, or why there is none."""
        try:
            session = await self._session(target)
        except Refused as error:
            return None, error.reply
        except TlsFailed as error:
            text = str(error)
            # RFC 3463 §3.8: X.7.5, cryptographic failure.
            return None, (
                evolve(_NO_TLS, text=text)
                if demand is Demand.TLS
                else SmtpReply(451, "4.7.5", text)
            )
        except (Disconnected, ConnectError, ConnectingCancelledError) as error:
            return None, SmtpReply(451, "4.4.1", _said(error))
        if demand is Demand.TLS and "REQUIRETLS" not in session.extensions:
            self._idle.keep(target, session)
            return None, _NO_REQUIRETLS
        return session, None

    async def _transfer(
        self, session: Session, target: Target, envelope: Envelope, content: StoredContent
    ) -> tuple[dict[str, RecipientOutcome], SmtpReply]:
        """Send in as many transactions as the server wants.

        What became of recipients, and why of the others nothing was said: those can be
        tried elsewhere.
        """
        outcomes: dict[str, RecipientOutcome] = {}
        left = list(envelope.recipients)
        most = MOST_RECIPIENTS
        refusal = evolve(_GONE, text="The server went away")
        try:
            while left and session.is_open:
                limits = Limits.of(session.extensions)
                if session.messages >= (limits.transactions or _MOST_TRANSACTIONS):
                    await client.leave(session)
                    session.wire.abort("Done")
                    session = await self._session(target)
                notifies = "DSN" in session.extensions
                some = evolve(envelope, recipients=limits.first(left, most))
                results = await client.transfer(session, some, content)
                # RFC 5321 §4.5.3.1.10: those that were too many come in another transaction.
                taken = sum(result.code < 300 for result in results)
                late = {r.recipient for r in results if r.code == 452 and taken}
                for result in results:
                    if result.code == 421:
                        refusal = SmtpReply(421, result.enhanced, result.text)
                    else:
                        outcomes[result.recipient] = evolve(
                            result, host=target.host, notifies=notifies
                        )
                if not taken and len(late) == len(results):
                    break
                most = min(most, taken or most)
                left = [a for a in left if a in late or a not in outcomes]
        except Refused as error:
            refusal = error.reply
        except (Disconnected, ConnectError, ConnectingCancelledError) as error:
            refusal = evolve(_GONE, text=_said(error))
        except BaseException as error:
            session.wire.abort("Given up")  # in the midst of a message, perhaps
            if not outcomes or not isinstance(error, Exception):
                raise
            # Those who have it are not to get it again.
            self._log.failure("{host}: not sent to all recipients", host=target.host)
            return _filled(outcomes, envelope, _OUR_FAULT, target), _OUR_FAULT
        if session.is_open:
            self._idle.keep(target, session)
        else:
            session.wire.abort("Done")
        if session.in_content:
            outcomes = _filled(outcomes, envelope, refusal, target)
        return outcomes, refusal

    async def _session(self, target: Target) -> Session:
        """A conversation with the server, begun as the target wants it."""
        if (idle := await self._idle.take(target)) is not None:
            return idle
        try:
            return await self._begin(target, target.security)
        except TlsFailed as error:
            if target.security is not Security.OPPORTUNISTIC:
                raise
            # RFC 7435 §3: where TLS fails and nothing asks for it, without it.
            self._log.info("{host}: {why}", host=target.host, why=str(error))
        return await self._begin(target, Security.NONE)

    async def _begin(self, target: Target, security: Security) -> Session:
        implicit = security is Security.IMPLICIT
        endpoint_of = TCP6ClientEndpoint if ":" in target.address else TCP4ClientEndpoint
        timeout = self.routes.settings.connect_timeout
        endpoint: Any = endpoint_of(self.reactor, target.address, target.port, timeout)
        creator: Any = None if security is Security.NONE else target.creator(security)
        if implicit:
            endpoint = wrapClientTLS(creator, endpoint)
        wire = await endpoint.connect(_Dialer(self.reactor, creator, implicit))
        try:
            session = await client.greet(wire, self.hostname, encrypted=implicit)
            if security in (Security.ENCRYPTED, Security.DANE, Security.STARTTLS):
                await _start_tls(session)
            elif security is Security.OPPORTUNISTIC and "STARTTLS" in session.extensions:
                with suppress(Refused):  # what comes next will say if it cannot go on
                    await client.start_tls(session)
            if target.login is not None:
                await _log_in(session, target.login, self.offload)
        except BaseException:
            wire.abort("Given up")
            raise
        return session


@define(eq=False, slots=False)
class _Dialer(Factory):
    reactor: Any
    creator: Any
    implicit_tls: bool
    noisy = False

    def buildProtocol(self, _: Any) -> Connection:
        return Connection(self.reactor, self.creator, implicit_tls=self.implicit_tls)


def _filled(
    outcomes: dict[str, RecipientOutcome], envelope: Envelope, reply: SmtpReply, target: Target
) -> dict[str, RecipientOutcome]:
    """With a reply for recipients of whom nothing was said."""
    said = {a: evolve(outcome_of(a, reply), host=target.host) for a in envelope.recipients}
    return said | outcomes


def _demand(envelope: Envelope, content: StoredContent) -> Demand:
    """RFC 8689 §4.1, §4.2.1: the parameter counts for more than the header field."""
    if "REQUIRETLS" in envelope.parameters:
        # §5: a report is not lost for want of it.
        return Demand.TLS if envelope.mail_from else Demand.USUAL
    return Demand.NONE if content.needs_no_tls else Demand.USUAL


async def _start_tls(session: Session) -> None:
    """STARTTLS that has to be."""
    try:
        await client.start_tls(session)
    except Refused as error:
        raise TlsFailed(f"No TLS: {error.reply}") from error


async def _log_in(session: Session, login: Login, offload: Callable[..., Any]) -> None:
    """AUTH.  That our own password is wrong is nothing that senders are told for good."""
    try:
        await log_in(session, login, offload)
    except Refused as error:
        if error.reply.code >= 500:
            raise Refused(SmtpReply(454, "4.7.0", f"No login: {error.reply}")) from None
        raise


def _said(error: Exception) -> str:
    text = str(error)
    # What Twisted says ends with what the system says: "…: 111: Connection refused."
    return text.rpartition(": ")[2].rstrip(".") if isinstance(error, ConnectError) else text

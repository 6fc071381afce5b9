"""The `smtp`, `submission` and `lmtp` listeners: their connections, how many, their end."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from mailhive import __version__
from mailhive.auth.throttle import network as network_of
from mailhive.interfaces.listener import IListenerFactory
from mailhive.model.addresses import canonical_domain
from mailhive.model.rates import Buckets, Rate
from mailhive.registry import Provider
from mailhive.smtp import replies
from mailhive.smtp.checks import CheckFactory
from mailhive.smtp.judging.check import JudgeCheck
from mailhive.smtp.judging.client import Clients
from mailhive.smtp.judging.judge import Judge
from mailhive.smtp.judging.lookups import Lookups
from mailhive.smtp.lmtp import LmtpSession
from mailhive.smtp.milter.check import Milter
from mailhive.smtp.pause import GreetingPause
from mailhive.smtp.policy import LmtpSettings, MxSettings, SmtpSettings, SubmissionSettings
from mailhive.smtp.protocol import Server, SmtpProtocol, peer_host
from mailhive.smtp.rates import NetworkRates, UserRates, shared_buckets
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.session import Session
from mailhive.smtp.submission import SubmissionSession
from mailhive.smtp.wire import Profile

__all__ = [
    "LMTP",
    "PROVIDER",
    "SUBMISSION",
    "LmtpListener",
    "SmtpFactory",
    "SmtpListener",
    "SubmissionListener",
]

#: Submitted messages that are in memory, whole, to be made ready for the outbox.
SUBMITTED_AT_ONCE = 4
#: Seconds `SmtpFactory.drain` gives messages under way; the daemon has five to stop.
DRAIN_TIMEOUT = 4.0

_log = Logger()


class _Refusal(Protocol):
    """A connection that is one too many; it is not given the time of a TLS handshake."""

    transport: Any

    def __init__(self, reply: SmtpReply, server: Server) -> None:
        self._reply = reply
        self._server = server

    def connectionMade(self) -> None:
        if self._server.implicit_tls:
            self.transport.abortConnection()
        else:
            self.transport.write(self._reply.to_bytes())
            self.transport.loseConnection()


@implementer(IProtocolFactory)
class SmtpFactory(Factory):
    """The connections of one listener."""

    noisy = False
    wiretap = False

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connections: dict[SmtpProtocol, str] = {}
        self._per_network: Counter[str] = Counter()
        self._rate: Buckets | None = None
        if server.settings.connections_per_minute is not None:
            rate = Rate(server.settings.connections_per_minute, 60.0)
            self._rate = shared_buckets(
                rate, server.reactor.seconds, f"{server.name}.connections", server.services.peers
            )
        self._drained: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        if self._drained is not None:
            return _Refusal(replies.SHUTTING_DOWN, self.server)
        settings = self.server.settings
        network = network_of(peer_host(addr))
        if (
            len(self._connections) >= settings.max_connections
            or self._per_network[network] >= settings.max_connections_per_address
            or (network and self._rate is not None and self._rate.take(network))
        ):
            _log.info(
                "{listener}: too many connections",
                listener=self.server.name,
                peer=peer_host(addr),
            )
            return _Refusal(replies.TOO_MANY_CONNECTIONS, self.server)
        connection = SmtpProtocol(self.server, self._closed, wiretap=self.wiretap)
        self._connections[connection] = network
        if network:
            self._per_network[network] += 1
        return connection

    def _closed(self, connection: SmtpProtocol) -> None:
        network = self._connections.pop(connection)
        if network:
            self._per_network[network] -= 1
            if not self._per_network[network]:
                del self._per_network[network]
        self._check_drained()

    def drain(self, timeout: float = DRAIN_TIMEOUT) -> Deferred[None]:
        """Take no more work, let messages under way finish, close everything.

        Fires when no connection is left, after `timeout` seconds at the latest:
        what is still open then is cut, and was not answered with 250.
        """
        drained: Deferred[None] = Deferred()
        if self._drained is not None:
            self._drained.chainDeferred(drained)
            return drained
        self._drained = drained
        self._deadline = self.server.reactor.callLater(timeout, self._cut)
        for connection in list(self._connections):
            connection.drain()
        self._check_drained()
        return drained

    def _check_drained(self) -> None:
        if self._drained is not None and not self._connections and not self._drained.called:
            if self._deadline is not None and self._deadline.active():
                self._deadline.cancel()
            self._drained.callback(None)

    def _cut(self) -> None:
        assert self._drained is not None
        _log.warn(
            "{listener}: {count} connections cut at shutdown",
            listener=self.server.name,
            count=len(self._connections),
        )
        for connection in list(self._connections):
            connection.transport.abortConnection()
        if not self._drained.called:
            self._drained.callback(None)


@implementer(IListenerFactory)
@frozen
class SmtpListener:
    """`protocol = "smtp"`: takes in mail for local recipients (the MX role)."""

    settings: type = MxSettings

    def make_factory(self, name: str, listener: Any, services: Any, reactor: Any) -> SmtpFactory:
        """See `IListenerFactory`; the factory's `drain` is for the daemon's end."""
        settings: MxSettings = listener.settings
        checks: list[CheckFactory] = []
        if settings.greeting_delay:
            pause = partial(
                GreetingPause.at,
                seconds=settings.greeting_delay,
                trusted=settings.trusted_networks,
                reactor=reactor,
            )
            checks.append(pause)
        rates = NetworkRates(settings, name, reactor.seconds, services.peers)
        if rates.is_there:
            checks.append(rates.check)
        lookups = Lookups(services.resolver)
        if settings.looks_at_clients:
            checks.append(Clients(lookups, services.hostname, settings, reactor).check)
        if settings.judge or settings.dns_lists:
            sealers = frozenset(filter(None, map(canonical_domain, settings.trusted_sealers)))
            judge = Judge(lookups, services.hostname, services.offload, reactor, sealers)
            checks.append(partial(JudgeCheck.of, judge=judge, settings=settings))
        if settings.greylist:
            checks.append(partial(services.greylist.check, trusted=settings.trusted_networks))
        session = partial(Session, filtered=settings.filtered)
        profile = evolve(_profile(listener, services), dsn=settings.delivery_reports)
        return SmtpFactory(_server(name, listener, services, reactor, profile, session, checks))


@implementer(IListenerFactory)
@frozen
class LmtpListener:
    """`protocol = "lmtp"`: takes mail for local recipients from a server nearby (RFC 2033)."""

    settings: type = LmtpSettings

    def make_factory(self, name: str, listener: Any, services: Any, reactor: Any) -> SmtpFactory:
        """See `IListenerFactory`; the factory's `drain` is for the daemon's end."""
        profile = evolve(_profile(listener, services), lmtp=True)
        session = partial(LmtpSession, filtered=listener.settings.filtered)
        return SmtpFactory(_server(name, listener, services, reactor, profile, session))


@implementer(IListenerFactory)
@frozen
class SubmissionListener:
    """`protocol = "submission"`: takes mail from users, for everybody (RFC 6409)."""

    settings: type = SubmissionSettings

    def make_factory(self, name: str, listener: Any, services: Any, reactor: Any) -> SmtpFactory:
        """See `IListenerFactory`; the factory's `drain` is for the daemon's end."""
        profile = evolve(
            _profile(listener, services),
            submission=True,
            auth_in_clear=listener.settings.auth_in_clear,
            max_hold=services.limits.delayed_send,
            offers_scram=lambda: services.scram.is_offered,
        )
        session = partial(
            SubmissionSession,
            max_hold=profile.max_hold,
            turns=DeferredSemaphore(SUBMITTED_AT_ONCE),
            save_sent=listener.settings.save_sent,
        )
        checks: list[CheckFactory] = []
        if services.sending.is_limited:
            checks.append(partial(UserRates, services.sending))
        return SmtpFactory(_server(name, listener, services, reactor, profile, session, checks))


def _profile(listener: Any, services: Any) -> Profile:
    settings: SmtpSettings = listener.settings
    size_limit: int = settings.max_message_size
    if services.limits.email_size is not None:
        size_limit = min(size_limit, services.limits.email_size)
    return Profile(
        hostname=services.hostname,
        size_limit=size_limit,
        max_recipients=settings.max_recipients,
        max_errors=settings.max_errors,
        max_unknown_recipients=settings.max_unknown_recipients,
        starttls=listener.tls == "starttls" and listener.context_factory is not None,
    )


def _milters(
    settings: SmtpSettings, services: Any, size_limit: int | None, reactor: Any
) -> list[CheckFactory]:
    return [
        Milter(
            name=name,
            settings=services.config.milter[name],
            hostname=services.hostname,
            version=__version__,
            most_body=size_limit or settings.max_message_size,
            reactor=reactor,
        ).check
        for name in settings.milters
    ]


def _server(
    name: str,
    listener: Any,
    services: Any,
    reactor: Any,
    profile: Profile,
    session: Callable[..., Session],
    checks: Sequence[CheckFactory] = (),
) -> Server:
    checks = [*checks, *_milters(listener.settings, services, profile.size_limit, reactor)]
    return Server(
        name=name,
        profile=evolve(profile, checked=bool(checks)),
        settings=listener.settings,
        services=services,
        reactor=reactor,
        implicit_tls=listener.tls == "implicit",
        context_factory=listener.context_factory,
        session=partial(session, checks=checks),
    )


PROVIDER = Provider(settings=MxSettings, build=lambda *_: SmtpListener())
LMTP = Provider(settings=LmtpSettings, build=lambda *_: LmtpListener())
SUBMISSION = Provider(settings=SubmissionSettings, build=lambda *_: SubmissionListener())

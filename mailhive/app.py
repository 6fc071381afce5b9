"""Settings become providers, providers become listeners, and all of it one service.

The only place that knows which concrete things there are: by name, through the
registry.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from socket import socket
from typing import Any

from attrs import evolve
from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.auth.scram import ScramPasswords
from mailhive.auth.throttle import Throttle
from mailhive.auth.tickets import SharedTickets, Tickets
from mailhive.auth.tokens import TokenKey
from mailhive.auth.users import Users
from mailhive.config.load import LoadedConfig, load
from mailhive.config.settings import ListenerSettings, Settings
from mailhive.daemon import Daemon, ListenerService, Offload, as_service
from mailhive.errors import TemporaryFailure
from mailhive.fetch.client import Fetcher
from mailhive.jmap.answers import Answers
from mailhive.jmap.api import JmapApi
from mailhive.jmap.elsewhere import Elsewhere
from mailhive.jmap.kept import Kept
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Registry
from mailhive.jmap.types.submission.expiry import SubmissionExpiry
from mailhive.jmap.types.submission.records import Submissions
from mailhive.listeners import make_factory
from mailhive.mail.analyses import Analyses
from mailhive.mail.blobs import BlobAccess
from mailhive.mail.collector import Collector
from mailhive.mail.delivery import Delivered, LocalDelivery
from mailhive.mail.directory_service import DirectoryService
from mailhive.mail.forwarding import ForwardingDelivery
from mailhive.mail.postmaster import Postmaster
from mailhive.mail.provision import Accounts
from mailhive.mail.reach import Forwards
from mailhive.mail.removal import MailRemoval
from mailhive.mail.reports import ReportReader
from mailhive.mail.responder import VacationResponder
from mailhive.mail.rules import Rules
from mailhive.mail.sending_rates import SendingRates
from mailhive.mime.charset import Charsets
from mailhive.names import name_resolver
from mailhive.parts import make_greylist, make_outbox, make_relay, make_web_push
from mailhive.push.hub import PushHub
from mailhive.push.remote import ServerKey
from mailhive.queue.delivered import DeliveryReports
from mailhive.queue.local import LocalTransport
from mailhive.queue.reports import Reporter
from mailhive.registry import provider
from mailhive.reload import Reloads
from mailhive.services import BuildContext, Services
from mailhive.smtp.relay.signing import Signer, read_keys
from mailhive.sockets import open_sockets
from mailhive.systemd import notify
from mailhive.workers.supervisor import Supervisor

__all__ = [
    "build",
    "build_worker",
    "limits_of",
    "report_failure",
    "supervise",
]

_log = Logger()


def limits_of(settings: Settings) -> Limits:
    """The one table of limits, as the configuration has it."""
    jmap = settings.jmap
    return Limits(
        request_size=jmap.limits.request_size,
        calls=jmap.limits.calls,
        concurrent_requests=jmap.limits.concurrent_requests,
        concurrent_uploads=jmap.limits.concurrent_uploads,
        get=jmap.limits.get,
        set=jmap.limits.set,
        email_get_full=jmap.limits.email_get_full,
        upload_size=jmap.upload.max_size,
        upload_quota=jmap.upload.quota,
        email_size=jmap.email.max_size,
        email_attachments_size=jmap.email.max_size_attachments,
        recipients=jmap.email.max_recipients,
        delayed_send=int(jmap.max_delayed_send) if jmap.delay_sends else 0,
    )


def build(config: LoadedConfig, reactor: Any) -> Daemon:
    """The daemon, with its addresses bound but nothing started.

    `ListenError` tells of every address that cannot be had.
    """
    return build_worker(config, reactor, lambda: _listening(config.settings, reactor))


def supervise(config: LoadedConfig, reactor: Any) -> Supervisor:
    """What starts several processes instead, with their addresses bound."""
    return Supervisor(config, _listening(config.settings, reactor), reactor, notify)


def _listening(settings: Settings, reactor: Any) -> dict[str, list[socket]]:
    """The sockets of each listener that is to run, bound; `ListenError`."""
    binds = {name: listener.bind for name, listener in _wanted(settings).items()}
    return open_sockets(binds, reactor)


def _wanted(settings: Settings) -> dict[str, ListenerSettings]:
    return {
        name: listener
        for name, listener in settings.server.listener.items()
        if settings.jmap.enabled or listener.protocol != "jmap"
    }


def build_worker(
    config: LoadedConfig,
    reactor: Any,
    open_them: Callable[[], dict[str, list[socket]]],
    peers: Any = None,
) -> Daemon:
    """What one process does, of several if it has `peers` (`IPeers`).

    `open_them()` gives the sockets, once nothing else can go wrong.
    """
    settings = config.settings
    offload = Offload(reactor)
    reloads = Reloads(settings, partial(load, config.path), offload, notify)
    daemon = Daemon(settings.server.data_dir, reactor, reloads.reload)
    if peers is not None:
        peers.setServiceParent(daemon.providers)
    services = _services(settings, reactor, daemon.providers, offload, reloads, peers)
    wanted = _wanted(settings)
    factories = {
        name: make_factory(name, listener, services, reactor) for name, listener in wanted.items()
    }
    sockets = open_them()
    for name, listener in wanted.items():
        ListenerService(
            name, listener.protocol, sockets[name], factories[name], reactor
        ).setServiceParent(daemon.listeners)
    return daemon


def _services(
    settings: Settings,
    reactor: Any,
    parent: MultiService,
    offload: Offload,
    reloads: Reloads,
    peers: Any,
) -> Services:
    is_office = peers is None or peers.is_office
    context = BuildContext(reactor, settings.server.data_dir, offload, peers=peers)
    blobs = _build(settings.blob[settings.storage.blob], context)
    mail_store = _build(settings.store[settings.storage.mail], context)
    directory_service = DirectoryService(settings, partial(_build, context=context), reactor)
    reloads.add(directory_service.prepare, "directory", "domain", "jmap.directory")
    directory = directory_service.directories
    throttle = Throttle(reactor.seconds)
    if peers is not None:
        throttle.tell = partial(peers.tell, "throttle")
        peers.serve("throttle", lambda _, *heard: throttle.hear(*heard))
    token_key = TokenKey.of(settings)
    # For URLs that the configuration names; somebody waits to be let in.
    fetcher = Fetcher(reactor, timeout=10.0)
    context = evolve(
        context,
        directory=directory,
        users=Users(directory, provisioning=settings.jmap.user_provisioning),
        throttle=throttle,
        token_key=token_key,
        trusted_proxies=settings.server.trusted_proxies,
        fetcher=fetcher,
    )
    strategies = tuple(
        provider("authentication", name).build(settings.jmap.strategies[name], context)
        for name in settings.jmap.authentication
    )
    submissions = Submissions(mail_store)
    reporter = Reporter(blobs, settings.server.hostname)
    outbox = make_outbox(settings, submissions, reporter, reactor, peers)
    opened = (
        offload,
        blobs,
        mail_store,
        directory_service,
        token_key,
        fetcher,
        *strategies,
        outbox,
    )
    for started in opened:
        as_service(started).setServiceParent(parent)
    if is_office:
        Collector(
            mail_store,
            blobs,
            reactor,
            interval=settings.storage.collect_interval,
            upload_life=settings.jmap.upload.life,
            age=settings.storage.collect_age,
            referrers=(outbox,),
            expiries=(SubmissionExpiry(mail_store, settings.jmap.submission.life),),
        ).setServiceParent(parent)
        MailRemoval(directory, mail_store, reactor).setServiceParent(parent)

    def now() -> int:
        return int(reactor.seconds() * 1000)

    limits = limits_of(settings)
    sending = SendingRates(settings.queue, reactor.seconds)
    if peers is not None:
        sending.tell = partial(peers.tell, "sending")
        peers.serve("sending", lambda _, *heard: sending.hear(*heard))
    accounts = Accounts(mail_store)
    registry = Registry.load(settings.jmap.disabled_capabilities)
    observers: list[Callable[[Delivered], None]] = [ReportReader(submissions, blobs)]
    if "VacationResponse" in registry.datatypes:  # its capability may be disabled
        responder = VacationResponder(
            store=mail_store,
            blobs=blobs,
            outbox=outbox,
            offload=offload,
            clock=reactor,
            hostname=settings.server.hostname,
            period=settings.jmap.vacation.period,
        )
        observers.append(responder)
    charsets = Charsets(settings.jmap.email.guess_charsets, settings.jmap.email.decode_utf_7)
    postmaster = Postmaster(directory, settings.server.hostname, settings.delivery.postmaster)
    analyses = Analyses(blobs, offload, charsets)
    local = LocalDelivery(
        directory=directory,
        accounts=accounts,
        blob_store=blobs,
        offload=offload,
        now=now,
        rules=Rules.of(settings.delivery),
        postmaster=postmaster,
        observers=tuple(observers),
        analyses=analyses,
    )
    signer = Signer(blobs, offload, reactor, read_keys(settings.dkim))
    reloads.add(lambda changed: signer.prepare(changed.dkim), "dkim")
    forwards = Forwards(directory, settings.forward)
    reloads.add(lambda changed: forwards.prepare(changed.forward), "forward")
    delivery = ForwardingDelivery(
        inner=local,
        forwards=forwards,
        blobs=blobs,
        outbox=outbox,
        offload=offload,
        now=now,
        seal=signer.seal,
    )
    resolver = name_resolver(settings.server.resolvers, reactor, validate=settings.relay.dane)
    if is_office:
        outbox.add_transport(LocalTransport(directory, delivery, blobs, postmaster))
        if any(listener.protocol == "smtp" for listener in settings.server.listener.values()):
            postmaster.setServiceParent(parent)
    if is_office and settings.relay.enabled:
        relay = make_relay(settings, blobs, reactor, signer, offload, resolver, parent)
        relay.setServiceParent(parent)
        outbox.add_transport(relay)
    hub = PushHub(mail_store, registry.push_types, reactor)
    if peers is not None:
        peers.on_join(
            lambda worker: hub.look_again(lambda account: bool(peers.owner(account) == worker))
        )
    contact = settings.jmap.web_push.contact or f"mailto:postmaster@{settings.server.hostname}"
    push: Any = ServerKey(settings.server.data_dir, contact)
    if is_office:
        push = make_web_push(settings, contact, hub, accounts, directory, reactor, parent)
    else:
        as_service(push).setServiceParent(parent)
    return Services(
        config=settings,
        hostname=settings.server.hostname,
        limits=limits,
        blobs=blobs,
        analyses=analyses,
        mail_store=mail_store,
        directory=directory,
        strategies=strategies,
        delivery=delivery,
        outbox=outbox,
        sending=sending,
        greylist=make_greylist(settings, reactor, parent),
        reports=DeliveryReports(reporter, outbox, reactor),
        jmap_api=JmapApi(
            registry=registry,
            limits=limits,
            store=mail_store,
            blobs=BlobAccess(blob_store=blobs, mail_store=mail_store, offload=offload),
            analyses=analyses,
            accounts=accounts,
            directory=directory,
            delivery=delivery,
            outbox=outbox,
            sending=sending,
            push=push,
            hostname=settings.server.hostname,
            offload=offload,
            now=now,
            on_failure=report_failure,
            revision=_revision(settings),
            provisioning=settings.jmap.user_provisioning,
            charsets=charsets,
            kept=Kept(settings.jmap.object_cache),
            answers=Answers(settings.jmap.answer_cache),
            elsewhere=None if peers is None else Elsewhere(peers, registry),
        ),
        resolver=resolver,
        hub=hub,
        tickets=Tickets(reactor.seconds)
        if peers is None
        else SharedTickets(reactor.seconds, peers, strategies),
        throttle=throttle,
        scram=ScramPasswords(directory, throttle, token_key),
        offload=offload,
        reloads=reloads,
        reactor=reactor,
        parent=parent,
        peers=peers,
    )


def _build(table: Any, context: BuildContext) -> Any:
    return table.provider.build(table.settings, evolve(context, name=table.name))


def _revision(settings: Settings) -> str:
    """Differs whenever the URLs that a session object shows may differ (RFC 8620 §2)."""
    urls = [listener.base_url for _, listener in sorted(settings.server.listener.items())]
    urls += [settings.jmap.url_prefix, settings.jmap.websocket_url_prefix]
    return sha256(repr(urls).encode()).hexdigest()[:16]


def report_failure(method: str, error: Exception) -> None:
    """Log why a method could not be answered; with its traceback if the mistake is ours."""
    if isinstance(error, TemporaryFailure):
        _log.warn("{method} cannot be answered now: {why}", method=method, why=str(error))
    else:
        _log.failure("{method} failed", Failure(error), method=method)

"""The parts that have files and connections of their own: outbox, relay, Web Push, greylist."""

from typing import Any

from twisted.application.service import MultiService

from mailhive.config.settings import Settings
from mailhive.daemon import Offload, as_service
from mailhive.fetch.client import Fetcher
from mailhive.fetch.guard import Guard
from mailhive.mail.provision import Accounts
from mailhive.push.hub import PushHub
from mailhive.push.subscriptions import PushSubscriptions
from mailhive.queue.ledger import FILE as OUTBOX_FILE
from mailhive.queue.outbox import Outbox
from mailhive.queue.remote import Desk as OutboxDesk
from mailhive.queue.remote import RemoteOutbox
from mailhive.queue.reports import Reporter
from mailhive.smtp.greylist.check import FILE as GREYLIST_FILE
from mailhive.smtp.greylist.check import Greylist
from mailhive.smtp.relay.dane import DaneLookups
from mailhive.smtp.relay.exchangers import Exchangers
from mailhive.smtp.relay.mta_sts import MtaSts
from mailhive.smtp.relay.routes import Routes
from mailhive.smtp.relay.signing import Signer
from mailhive.smtp.relay.transport import RelayTransport

__all__ = ["make_greylist", "make_outbox", "make_relay", "make_web_push"]


def make_greylist(settings: Settings, reactor: Any, parent: MultiService) -> Greylist | None:
    """The greylist that listeners share, if one of them asks for it."""
    listeners = settings.server.listener.values()
    if not any(getattr(listener.settings, "greylist", False) for listener in listeners):
        return None
    greylist = Greylist(settings.server.data_dir / GREYLIST_FILE, settings.greylist, reactor)
    greylist.setServiceParent(parent)
    return greylist


def make_outbox(
    settings: Settings, submissions: Any, reporter: Reporter, reactor: Any, peers: Any
) -> Any:
    """The outbox, or the way to that of the office."""
    if peers is not None and not peers.is_office:
        return RemoteOutbox(peers)
    outbox = Outbox(
        settings.server.data_dir / OUTBOX_FILE,
        submissions,
        reactor,
        settings=settings.queue,
        reporter=reporter,
    )
    if peers is not None:
        outbox.is_taken_over = OutboxDesk(peers, reactor, outbox).is_taken_over
    return outbox


def make_web_push(
    settings: Settings,
    contact: str,
    hub: PushHub,
    accounts: Accounts,
    directory: Any,
    reactor: Any,
    parent: MultiService,
) -> PushSubscriptions:
    """Web Push, and the client by which it reaches push services."""
    chosen = settings.jmap.web_push
    guard = Guard(chosen.allow) if chosen.prevent_ssrf else None
    fetcher = Fetcher(
        reactor, guard=guard, timeout=chosen.timeout, max_connections=chosen.max_connections
    )
    push = PushSubscriptions(
        settings.server.data_dir,
        chosen,
        hub=hub,
        fetcher=fetcher,
        guard=guard,
        accounts=accounts,
        directory=directory,
        contact=contact,
        reactor=reactor,
    )
    as_service(fetcher).setServiceParent(parent)
    push.setServiceParent(parent)
    return push


def make_relay(
    settings: Settings,
    blobs: Any,
    reactor: Any,
    signer: Signer,
    offload: Offload,
    resolver: Any,
    parent: MultiService,
) -> RelayTransport:
    """The way to other servers."""
    hostname = settings.server.hostname
    mta_sts = None
    if settings.relay.mta_sts:
        path = settings.server.data_dir / "mta-sts.sqlite"
        # RFC 8461 §3.3 has a minute for it.
        mta_sts = MtaSts(path, resolver, Fetcher(reactor, guard=Guard(), timeout=60.0), reactor)
        mta_sts.setServiceParent(parent)
    exchangers = Exchangers(resolver, hostname)
    dane = DaneLookups(exchangers, settings.relay.port) if settings.relay.dane else None
    routes = Routes(settings.relay, exchangers, mta_sts, dane)
    return RelayTransport(routes, blobs, hostname, reactor, signer, offload)

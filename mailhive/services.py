"""What is handed to those who make a part of the daemon: providers, listeners."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from mailhive.auth.scram import ScramPasswords
from mailhive.auth.throttle import Throttle
from mailhive.auth.tickets import Tickets
from mailhive.auth.tokens import TokenKey
from mailhive.auth.users import Users
from mailhive.config.settings import Settings
from mailhive.jmap.api import JmapApi
from mailhive.jmap.limits import Limits
from mailhive.mail.analyses import Analyses
from mailhive.mail.sending_rates import SendingRates
from mailhive.model.networks import Networks
from mailhive.push.hub import PushHub
from mailhive.queue.delivered import DeliveryReports
from mailhive.reload import Reloads
from mailhive.smtp.greylist.check import Greylist

__all__ = ["BuildContext", "Listener", "Services"]


@frozen
class BuildContext:
    """What a provider's `build` may use.

    `name` is that of its table.  `offload(function, *arguments)` runs something on a
    thread and returns its Deferred.  The others are there for authentication
    strategies only: the `IDirectory`, an `auth.users.Users` of it, the `Throttle` that
    all logins share, the `TokenKey` of our own tokens, the trusted proxies, and a
    `fetch.Fetcher`.  `peers` are an `IPeers` where the daemon has several processes.
    """

    reactor: Any
    data_dir: Path
    offload: Callable[..., Deferred[Any]]
    name: str = ""
    directory: Any = None
    users: Users | None = None
    throttle: Throttle | None = None
    token_key: TokenKey | None = None
    trusted_proxies: Networks | None = None
    fetcher: Any = None
    peers: Any = None


@frozen
class Services:
    """What listeners share.  Services added to `parent` start before them and stop after.

    What of a listener can change while it runs is told to `reloads`.
    """

    config: Settings
    hostname: str
    limits: Limits
    blobs: Any  # IBlobStore
    analyses: Analyses  # of the messages in it
    mail_store: Any  # IMailStore
    directory: Any  # IDirectory
    strategies: tuple[Any, ...]  # IAuthenticationStrategy, in the order in which they are tried
    delivery: Any  # IDelivery
    outbox: Any  # IOutbox
    sending: SendingRates
    greylist: Greylist | None  # None if no listener asks for it
    reports: DeliveryReports
    jmap_api: JmapApi
    resolver: Any  # IResolver of the DNS
    hub: PushHub
    tickets: Tickets
    throttle: Throttle
    scram: ScramPasswords
    offload: Callable[..., Deferred[Any]]
    reloads: Reloads
    reactor: Any
    parent: MultiService
    peers: Any  # IPeers, or None


@frozen
class Listener:
    """A listener as its protocol sees it.

    `tls` is none, implicit or starttls.  With starttls the protocol starts TLS
    with `context_factory`; with implicit that is done around it.
    """

    name: str
    tls: str
    base_url: str | None  # where clients find it, without a slash at its end
    settings: Any  # an instance of the protocol's own settings class
    context_factory: Any = None

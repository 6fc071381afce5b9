"""The site: what all connections of one JMAP listener share."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import time
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailhive.auth.throttle import network
from mailhive.http.channel import Channel
from mailhive.http.cors import PREFLIGHT, Cors, completed
from mailhive.http.forwarded import Proxies
from mailhive.http.reply import Reply, plain_problem
from mailhive.http.request import Request
from mailhive.http.version import VERSIONS, knows_version

__all__ = ["FixedReply", "JmapSite"]

_log = Logger(namespace="mailhive.http.requests")
_request_ids = itertools.count(1)
_date = lru_cache(2)(datetimeToString)  # of a second
#: Fields that are lists: a configured value joins the answer's own.
_JOINED = frozenset({b"cache-control", b"vary"})


class FixedReply(Resource):
    """A resource that always gives the same answer."""

    isLeaf = True

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self._reply = reply

    def render(self, request: Request) -> int:
        request.send(self._reply)
        request.finish()
        return NOT_DONE_YET


_PREFLIGHT = FixedReply(PREFLIGHT)
_UNDECODABLE = FixedReply(plain_problem(400, "Path and Host must be UTF-8."))
_UNKNOWN_VERSION = FixedReply(
    plain_problem(400, f"The jmapVersion of Accept must be one of: {', '.join(VERSIONS)}.")
)


class _Refusal(Protocol):
    """The end of a connection that is one too many: an answer would cost a TLS handshake."""

    def connectionMade(self) -> None:
        cast(ITCPTransport, self.transport).abortConnection()


class JmapSite(Site):
    """The listener `name`: serves `resources`, by exact path, and `fallback` for every other path.

    `headers` are added to every answer: `Cache-Control` and `Vary` to what the
    answer says itself, any other in place of a field of that name.  `cors` is which
    pages of other origins may read answers, `proxies` who may say whose request it is.

    A connection may be silent for `idle_timeout` seconds; a request must be in
    after `request_timeout` seconds and one more for each `minimum_rate` octets.
    More than `max_connections`, or `max_connections_per_address` of one IPv4 address
    or IPv6 /64 that is not a trusted proxy's, are cut at once.
    `before_drain()` ends requests that would never end by themselves.

    One event is logged for each request, without headers and query, as both may
    hold credentials.
    """

    requestFactory = Request
    protocol = Channel  # type: ignore[assignment]  # HTTP/1.1 only
    draining = False
    wiretap = False

    def __init__(
        self,
        resources: dict[bytes, IResource],
        fallback: IResource,
        *,
        name: str,
        reactor: IReactorTime,
        headers: Iterable[tuple[str, str]] = (),
        cors: Cors | None = None,
        proxies: Proxies | None = None,
        idle_timeout: float = 60.0,
        request_timeout: float = 60.0,
        minimum_rate: int = 1_000,
        max_connections: int = 5_000,
        max_connections_per_address: int = 1_000,
        before_drain: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            fallback, timeout=idle_timeout, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.name = name
        self.channels: set[Channel] = set()
        self._resources = resources
        self.proxies = proxies or Proxies()
        self.change_headers(headers, cors or Cors())
        self._request_timeout = request_timeout
        self._minimum_rate = minimum_rate
        self._max_connections = max_connections
        self._max_connections_per_address = max_connections_per_address
        self._per_network: Counter[str] = Counter()
        self._before_drain = before_drain
        self._drained: Deferred[None] | None = None

    def change_headers(self, headers: Iterable[tuple[str, str]], cors: Cors) -> None:
        """Add these to every answer from now on."""
        self._headers = [
            (name.lower().encode(), name.encode(), completed(name, value).encode())
            for name, value in headers
        ]
        self._cors = cors
        self.bad_request = self._bad_request()

    def acceptableProtocols(self) -> list[bytes]:
        """Not HTTP/2: twisted.web's is slower, and bodies there have no flow of their own."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """No access log file: requests are logged as events."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        peer = getattr(addr, "host", "unix")
        if len(self.channels) < self._max_connections and (
            self._per_network[network(peer)] < self._max_connections_per_address
            or self.proxies.is_trusted(peer)
        ):
            return super().buildProtocol(addr)
        _log.info("{listener}: too many connections", listener=self.name, peer=peer)
        return _Refusal()

    def resource_at(self, request: Request) -> IResource | None:
        """What answers at exactly this path; None if `getResourceFor` has to say."""
        if request.method == b"OPTIONS" or not knows_version(request.header(b"accept")):
            return None
        return self._resources.get(request.path)

    def getResourceFor(self, request: Request) -> IResource:
        if request.method == b"OPTIONS":
            return _PREFLIGHT
        if not knows_version(request.header(b"accept")):
            return _UNKNOWN_VERSION
        return self.resource if request.is_decodable() else _UNDECODABLE

    def time_allowed(self, octets: int) -> float:
        """Seconds that a request may take to send so many octets."""
        return self._request_timeout + octets / self._minimum_rate

    def next_request_id(self) -> str:
        """A name for the log, unique in this process."""
        return f"r{next(_request_ids)}"

    def add_headers(self, request: Request, headers: Headers) -> None:
        """Complete the headers of an answer to `request`."""
        headers.setRawHeaders(b"Server", [b"mailhive"])
        headers.setRawHeaders(b"Date", [_date(int(time()))])
        self._cors.add(headers, request.method, request.requestHeaders)
        self._add_configured(headers)

    def _add_configured(self, headers: Headers) -> None:
        replaced = set()
        for key, name, value in self._headers:
            if key in _JOINED or key in replaced:
                headers.addRawHeader(name, value)
            else:
                headers.setRawHeaders(name, [value])
                replaced.add(key)

    def _bad_request(self) -> bytes:
        """The whole answer to a request that cannot be read."""
        reply = plain_problem(400, "This is not HTTP/1.1 as RFC 9112 has it.")
        headers = Headers({b"Server": [b"mailhive"], b"Content-Type": [reply.media_type]})
        for name, value in reply.headers:
            headers.addRawHeader(name, value)
        self._cors.add(headers, b"GET", Headers())
        self._add_configured(headers)
        headers.setRawHeaders(b"Connection", [b"close"])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(reply.body)])
        lines = [
            name + b": " + value for name, values in headers.getAllRawHeaders() for value in values
        ]
        return b"\r\n".join([b"HTTP/1.1 400 Bad Request", *lines, b"", reply.body])

    def log(self, request: Request) -> None:  # type: ignore[override]
        self.log_request(request)

    def log_request(self, request: Request, *, gone: bool = False) -> None:
        """One event for a request that is over."""
        _log.info(
            "{peer} {request} {account} {method} {path} {status} {milliseconds} ms "
            "in {octets_in} out {octets_out} {methods}",
            listener=self.name,
            request=request.id,
            peer=request.peer,
            account=request.account or "-",
            method=request.method.decode("latin-1"),
            path=(request.path or b"-").decode("ascii", "backslashreplace"),
            status="gone" if gone else request.code,
            milliseconds=round((self.reactor.seconds() - request.began) * 1000, 1),
            octets_in=request.body.received,
            octets_out=request.sentLength,
            methods=" ".join(request.methods),
        )
        if request.tap is not None:
            request.tap.ended()

    # Ending

    def drain(self) -> Deferred[None]:
        """Let requests in flight finish; fires when no connection is left.

        Idle connections close at once, the others with their answer.
        """
        self.draining = True
        self._before_drain()
        for channel in [channel for channel in self.channels if not channel.requests]:
            channel.loseConnection()
        if not self.channels:
            return succeed(None)
        if self._drained is None:
            self._drained = Deferred()
        return self._drained

    def channel_made(self, channel: Channel) -> None:
        """A connection has begun."""
        self.channels.add(channel)
        self._per_network[channel.network] += 1

    def channel_gone(self, channel: Channel) -> None:
        """A connection has ended."""
        self.channels.discard(channel)
        self._per_network[channel.network] -= 1
        if not self._per_network[channel.network]:
            del self._per_network[channel.network]
        if self._drained is not None and not self.channels:
            drained, self._drained = self._drained, None
            drained.callback(None)

"""The HTTP client for all that mailhive asks of other servers."""

from collections.abc import Mapping
from typing import Any, Never
from urllib.parse import urljoin

from attrs import evolve, frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IHostnameResolver
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from mailhive.fetch.body import read_body
from mailhive.fetch.endpoints import Endpoints
from mailhive.fetch.errors import FetchFailed, FetchRefused
from mailhive.fetch.guard import Guard
from mailhive.fetch.pool import Pool
from mailhive.fetch.reasons import reason_of, was_cancelled
from mailhive.fetch.url import Target, parse_url

__all__ = ["Fetched", "Fetcher"]

_FOLLOWED = frozenset({301, 302, 303, 307, 308})
#: Header fields for the host that they were meant for, and no other.
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization"})


@frozen
class Fetched:
    """The answer to a request, whatever its status."""

    status: int
    headers: Headers
    body: bytes


@frozen
class _Request:
    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes
    max_body: int


class Fetcher:
    """Asks other servers over HTTP/1.1.

    Every host but those that `guard` refuses may be asked; without a guard, for URLs
    of the operator, all.  At most `max_connections` requests are under way, the others
    wait, and as many connections are kept.  `timeout`, in seconds, is for each request as
    a whole: waiting, resolving, connecting, redirects and the answer.  Certificates must
    be valid for the name in the URL, by `trust_root` instead of the roots of the system
    if there is one.  No cookie is kept, no proxy is used, nothing is logged.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        guard: Guard | None = None,
        timeout: float = 30.0,
        max_connections: int = 100,
        trust_root: Any = None,
        resolver: IHostnameResolver | None = None,
    ) -> None:
        self._reactor = reactor
        self._guard = guard
        self._timeout = timeout
        self._slots = DeferredSemaphore(max_connections)
        self._pool = Pool(reactor, max_connections)
        endpoints = Endpoints(
            reactor,
            reactor.nameResolver if resolver is None else resolver,
            BrowserLikePolicyForHTTPS(trust_root),
            guard,
        )
        self._agent = _Plain(Agent.usingEndpointFactory(reactor, endpoints, self._pool))

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        max_body: int = 65_536,
        redirects: int = 0,
    ) -> Deferred[Fetched]:
        """Ask, and read at most `max_body` octets of the answer's body.

        A status is an answer, not an error, and that of a redirect too, unless it is
        followed: of GET and HEAD up to `redirects` are, each looked at like the first,
        but none from https to http.  Raises `FetchRefused` where the guard or the form of
        the URL forbid it, `FetchFailed` if there is no answer.  Nothing is sent twice.
        Cancelling ends it.
        """
        asking = Deferred.fromCoroutine(
            self._fetch(
                method,
                url,
                {"User-Agent": "mailhive", **(headers or {})},
                body,
                max_body,
                redirects,
            )
        )
        return asking.addTimeout(self._timeout, self._reactor, _timed_out)

    def close(self) -> Deferred[None]:
        """Close the connections that are kept."""
        closing: Deferred[None] = self._pool.closeCachedConnections()
        return closing

    async def _fetch(
        self, method: str, url: str, headers: dict[str, str], body: bytes, most: int, redirects: int
    ) -> Fetched:
        request = _Request(method.upper(), _target(url), headers, body, most)
        await self._slots.acquire()
        try:
            fetched = await self._ask(request)
            while request.method in ("GET", "HEAD") and redirects and fetched.status in _FOLLOWED:
                location = fetched.headers.getRawHeaders("location", [""])[0]
                request = _redirected(request, location)
                redirects -= 1
                fetched = await self._ask(request)
            return fetched
        finally:
            self._slots.release()

    async def _ask(self, request: _Request) -> Fetched:
        target = request.target
        if self._guard is not None and (reason := self._guard.refuses_target(target)) is not None:
            raise FetchRefused(reason)
        # One client for each, so that no cookie goes from one to the next.
        client = HTTPClient(self._agent)
        try:
            response: Any = await client.request(
                request.method,
                target.url,
                headers=Headers({name: [value] for name, value in request.headers.items()}),
                data=request.body or None,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            )
            body = await read_body(response, request.max_body)
        except FetchRefused:
            raise
        except FetchFailed as error:
            raise FetchFailed(f"{target.host}: {error.reason}") from error
        except Exception as error:
            if was_cancelled(error):
                raise CancelledError from error
            if (reason := reason_of(error)) is None:
                raise
            raise FetchFailed(f"{target.host}: {reason}") from error
        return Fetched(response.code, response.headers, body)


@implementer(IAgent)
@frozen
class _Plain:
    """Below treq: without compression, with which a small answer may become a large one."""

    _agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        if headers is not None:
            headers.removeHeader(b"accept-encoding")
        answer: Deferred[IResponse] = self._agent.request(method, uri, headers, bodyProducer)
        return answer.addCallback(self._unencoded)

    def _unencoded(self, response: Any) -> Any:
        # What comes encoded all the same is handed out as it is.
        response.headers.removeHeader(b"content-encoding")
        return response


def _target(url: str) -> Target:
    try:
        return parse_url(url)
    except ValueError as error:
        raise FetchRefused(str(error)) from error


def _redirected(request: _Request, location: str) -> _Request:
    before = request.target
    try:
        target = parse_url(urljoin(before.url, location))
    except ValueError as error:
        raise FetchRefused(f"{before.host} redirects to a bad URL: {error}") from error
    if (before.scheme, target.scheme) == ("https", "http"):
        raise FetchRefused(f"{before.host} redirects to a URL without TLS")
    headers = request.headers
    if target.origin != before.origin:
        headers = {n: value for n, value in headers.items() if n.lower() not in _PRIVATE}
    return evolve(request, target=target, headers=headers)


def _timed_out(_: object, seconds: float) -> Never:
    raise FetchFailed(f"there was no answer within {seconds:g} seconds")

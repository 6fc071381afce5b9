"""The resources of JMAP: session (RFC 8620 §2), api (§3), upload (§6.1), download (§6.2)."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from klein import Klein
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import BaseConverter

from mailhive.auth.tickets import LIFE
from mailhive.config.jmap import JmapWebSocket
from mailhive.http import naming, ranges
from mailhive.http.download import BlobSender
from mailhive.http.eventsource import EventStream, event_options
from mailhive.http.gate import Gate, route, ticket_route
from mailhive.http.handshake import refusal
from mailhive.http.reply import Reply, plain_problem
from mailhive.http.request import Request
from mailhive.http.streams import Streams
from mailhive.http.urls import (
    EVENT_SOURCE,
    SESSION,
    TICKET,
    WEBSOCKET,
    WELL_KNOWN,
    Prefixes,
)
from mailhive.http.websocket import SocketFactory
from mailhive.jmap import capabilities
from mailhive.jmap.envelope import encode_json
from mailhive.jmap.errors import RequestError
from mailhive.jmap.slots import Slots
from mailhive.model.principal import Principal

__all__ = ["ApiResource", "Routes"]

# RFC 8620 §2
_SESSION_HEADERS = ((b"Cache-Control", b"no-cache, no-store, must-revalidate"),)
_API_HEADERS = ((b"Cache-Control", b"no-store"),)
# What others have sent must not run as a page of ours.
_DOWNLOAD_HEADERS = (
    (b"Accept-Ranges", b"bytes"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"default-src 'none'; sandbox"),
)
_METHODS = b"GET, HEAD, POST, OPTIONS"
#: Event sources, and as many WebSockets, that a user may have open.
MAX_STREAMS = 32


class _Anything(BaseConverter):
    """The rest of a path: file names may be empty and hold slashes and line ends."""

    regex = "(?s:.*)"
    part_isolating = False


class Routes:
    """What one listener serves.

    `api` is the `JmapApi`, `blobs` the `IBlobStore` that uploads go to, `hub` the
    `PushHub`, `prefixes` what the URLs of the session begin with, `websocket` the settings
    of WebSockets, `disabled` the capabilities that are not offered.  A client that takes
    nothing of a download or of events for `patience` seconds is dropped.
    """

    app = Klein()
    app.url_map.merge_slashes = False
    app.url_map.converters["anything"] = _Anything

    def __init__(
        self,
        gate: Gate,
        api: Any,
        blobs: Any,
        hub: Any,
        *,
        reactor: IReactorTime,
        prefixes: Prefixes | None = None,
        patience: float = 60.0,
        websocket: JmapWebSocket | None = None,
        disabled: Collection[str] = (),
    ) -> None:
        self.gate = gate
        self._api = api
        self._blobs = blobs
        self._reactor = reactor
        self._prefixes = prefixes or Prefixes()
        self._patience = patience
        self._disabled = frozenset(disabled)
        self._hub = hub
        self.streams = Streams(api, reactor)
        self._streams_of = Slots(MAX_STREAMS, "event sources")
        self._sockets_of = Slots(MAX_STREAMS, "WebSockets")
        self._sockets = SocketFactory(api, hub, websocket, reactor)

    @app.route(WELL_KNOWN, methods=["GET"])
    @app.route(SESSION, methods=["GET"])
    @route
    async def well_known(self, request: Request, principal: Principal) -> Reply:
        """RFC 8620 §2.  The well-known URL answers itself: redirects lose credentials."""
        return await self.session(request, principal)

    async def session(self, request: Request, principal: Principal) -> Reply:
        """RFC 8620 §2."""
        body = await self._api.session(principal, self._prefixes.urls(request))
        return Reply(body, headers=_SESSION_HEADERS)

    async def call(self, request: Request, principal: Principal) -> Reply:
        """RFC 8620 §3.1."""
        if not _is_json(request.header(b"content-type")):
            raise RequestError("notJSON", "The content type must be application/json.", status=415)
        with self._api.request_slots.taken_by(principal.name):
            limit = self._api.limits.request_size
            raw = request.body.take(limit)
            if raw is None:
                raw = await self._read(request, limit)
            reply = await self._api.handle(principal, raw)
        request.methods = reply.methods
        return Reply(reply.body, headers=_API_HEADERS)

    async def _read(self, request: Request, limit: int) -> bytes:
        raw = bytearray()  # tiny chunks would cost more as a list
        await request.body.read(
            raw.extend,
            limit=limit,
            too_large=RequestError(
                "limit", f"A request has at most {limit} octets.", limit="maxSizeRequest"
            ),
        )
        return bytes(raw)

    @app.route("/jmap/upload/<account_id>/", methods=["POST"], strict_slashes=False)
    @route
    async def upload(self, request: Request, principal: Principal, account_id: str) -> Reply:
        """RFC 8620 §6.1."""
        declared = request.header(b"content-type")
        media_type = naming.media_type(declared or "application/octet-stream")
        if media_type is None:
            raise RequestError(None, "The Content-Type is not a media type.")
        with self._api.upload_slots.taken_by(principal.name):
            await self._api.may_upload(principal, account_id)
            writer = await self._take_body(request)
            body = await self._api.upload(principal, account_id, writer, media_type)
        return Reply(body, status=201, headers=_API_HEADERS)

    async def _take_body(self, request: Request) -> Any:
        """An `IBlobWriter` that has the body."""
        limit = self._api.limits.upload_size
        writer = self._blobs.open_writer()
        try:
            await request.body.read(
                writer.write,
                limit=limit,
                too_large=RequestError(
                    "limit",
                    f"An upload has at most {limit} octets.",
                    status=413,
                    limit="maxSizeUpload",
                ),
            )
        except BaseException:
            writer.abort()
            raise
        return writer

    @app.route("/jmap/download/<account_id>/<blob_id>/<anything:name>", methods=["GET"])
    @route
    async def download(
        self, request: Request, principal: Principal, account_id: str, blob_id: str, name: str
    ) -> Reply | None:
        """RFC 8620 §6.2."""
        media_type = naming.media_type(request.query.get("accept", "application/octet-stream"))
        if media_type is None:
            raise RequestError(None, "The accept parameter is not a media type.")
        blob = await self._api.blob(principal, account_id, blob_id)
        tag = ranges.entity_tag(blob_id)
        caching = (
            (b"ETag", tag.encode()),
            (b"Cache-Control", b"private, immutable, max-age=31536000"),
        )
        if ranges.matches(request.header(b"if-none-match") or "", tag):
            return Reply(status=304, headers=caching)
        part = None
        if request.method == b"GET":  # RFC 9110 §14.2: a Range of any other method is ignored
            try:
                part = ranges.requested_range(
                    request.header(b"range"),
                    blob.size,
                    if_range=request.header(b"if-range"),
                    tag=tag,
                )
            except ranges.Unsatisfiable:
                size = (b"Content-Range", b"bytes */%d" % blob.size)
                return plain_problem(416, "The range lies beyond the end.", size)
        start, end = part or (0, blob.size)
        for key, value in (
            *caching,
            *_DOWNLOAD_HEADERS,
            (b"Content-Type", media_type.encode()),
            (b"Content-Length", b"%d" % (end - start)),
            (b"Content-Disposition", naming.content_disposition(name).encode()),
        ):
            request.setHeader(key, value)
        if part is not None:
            request.setResponseCode(206)
            request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (start, end - 1, blob.size))
        if request.method != b"HEAD":
            sender = BlobSender(
                request, blob, patience=self._patience, call_later=self._reactor.callLater
            )
            await sender.send(start, end)
        return None

    @app.route(EVENT_SOURCE, methods=["GET"])
    @ticket_route
    async def event_source(self, request: Request, principal: Principal) -> None:
        """RFC 8620 §7.3."""
        options = event_options(request.query)
        account_ids = await self._api.account_ids(principal)
        # A script in a browser can set the URL only.
        last = request.header(b"last-event-id") or request.query.get("lasteventid")
        stream = EventStream(request, options, self._hub, self._reactor, self._patience)
        assert request.grant is not None  # of the gate
        with (
            self._streams_of.taken_by(principal.name),
            self.streams.opened(stream, request.grant),
        ):
            await stream.run(account_ids, last)

    @app.route(TICKET, methods=["POST"])
    @route
    async def ticket(self, request: Request, _: Principal) -> Reply:
        """A ticket for one WebSocket or event source (docs/tickets.md)."""
        if capabilities.TICKET in self._disabled:
            return _nothing_here()
        assert request.grant is not None  # of the gate
        ticket = self.gate.tickets.issue(request.grant)
        return Reply(encode_json({"ticket": ticket, "lifetime": LIFE}), headers=_API_HEADERS)

    @app.route(WEBSOCKET, methods=["GET"])
    @ticket_route
    async def web_socket(self, request: Request, principal: Principal) -> Reply | None:
        """RFC 8887 §4.1."""
        if capabilities.WEBSOCKET in self._disabled:
            return _nothing_here()
        refused = refusal(request)
        if refused is not None:
            return refused
        assert request.grant is not None  # of the gate
        with self._sockets_of.taken_by(principal.name):
            socket = self._sockets.connect(request, principal)
            with self.streams.opened(socket, request.grant):
                await socket.ended
        return None

    @app.handle_errors(HTTPException)
    def unroutable(self, request: Any, failure: Failure) -> None:
        """No such path, or not with this method (RFC 9110 §15.5.5, §15.5.6)."""
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted({*(error.valid_methods or ()), "OPTIONS"}))
            request.send(method_not_allowed(allowed.encode()))
        else:
            request.send(_nothing_here())


def _nothing_here() -> Reply:
    return plain_problem(404, "There is nothing here.")


def method_not_allowed(allowed: bytes) -> Reply:
    """405 with the methods that are allowed."""
    return plain_problem(405, "This method is not allowed here.", (b"Allow", allowed))


class ApiResource(Resource):
    """The api resource, beside Klein, whose routing would double the cost of a small request.

    A client that goes away does not end a request that was accepted.  GET
    answers the session, as some clients know one URL only.
    """

    isLeaf = True

    def __init__(self, routes: Routes) -> None:
        super().__init__()
        self._routes = routes

    def render(self, request: Request) -> int:
        if request.method == b"POST":
            ensureDeferred(self._serve(request, self._routes.call))
        elif request.method in (b"GET", b"HEAD"):
            ensureDeferred(self._serve(request, self._routes.session))
        else:
            request.send(method_not_allowed(_METHODS))
            request.finish()
        return NOT_DONE_YET

    async def _serve(
        self, request: Request, handler: Callable[[Request, Principal], Awaitable[Reply]]
    ) -> None:
        try:
            await self._routes.gate.serve(request, handler)
            request.finish()
        except Exception:
            request.processingFailed(Failure())


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"

"""JMAP over WebSocket (RFC 8887): requests, their answers and pushed changes on one connection.

Autobahn frames, this says what the frames mean.  Requests go the way of those of
HTTP, through `JmapApi`, under the same limits, and are answered as they are done.

What a client does not take costs little: while the connection has no room, nothing
is read from it and no change is written; what changes meanwhile waits in the
subscription, which keeps the latest states only.  A client that does not answer a
ping either is cut.
"""

from typing import Any

from attrs import define
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import SWITCHING
from twisted.web.http_headers import Headers
from txaio.tx import make_logger
from zope.interface import implementer

from mailhive.config.jmap import JmapWebSocket
from mailhive.errors import TemporaryFailure
from mailhive.http.handshake import SUBPROTOCOL, opening
from mailhive.http.request import Request
from mailhive.jmap.api import LARGE
from mailhive.jmap.errors import RequestError
from mailhive.jmap.websocket import (
    PushDisable,
    PushEnable,
    encode_error,
    encode_state_change,
    read_message,
    request_id,
    response_head,
)
from mailhive.model.principal import Principal

__all__ = ["JmapSocket", "SocketFactory"]

_log = Logger(namespace="mailhive.http.requests")

#: Octets of a message below which compression saves nothing, and above which it
#: would keep everybody waiting.
COMPRESSED = range(200, 262_144)
#: Seconds in which a peer must answer a Close.
CLOSING = 5
#: Memory of a compressor: 2^(window + 2) + 2^(level + 9) octets (zlib).
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5

# RFC 6455 §7.4.1
_GOING_AWAY = 1001
_UNSUPPORTED_DATA = 1003
_POLICY_VIOLATION = 1008


@define
class _Message:
    """What became of a message."""

    id: str
    began: float
    status: int = 200
    methods: tuple[str, ...] = ()
    answer: bytes = b""


@implementer(IPushProducer)
class JmapSocket(WebSocketServerProtocol):
    """One connection; `ended` fires when it is lost."""

    log = make_logger(level="error")  # ends are ours to log
    maxMessagePayloadSize: int

    def __init__(self, api: Any, hub: Any, request: Request, principal: Principal) -> None:
        super().__init__()
        self.ended: Deferred[None] = Deferred()
        self._api = api
        self._hub = hub
        self._request = request
        self._principal = principal
        self._subscription: Any = None  # push.hub.Subscription
        self._turn = 0  # of enabling and disabling push
        self._messages = 0  # that came
        self._running = 0  # messages that are being answered
        self._ending = False
        self._full = False  # the connection takes no more
        self._decoding = False  # a large message is
        self._enabling = 0  # of push, under way
        self._waiting: list[Deferred[None]] = []  # requests, for it to have begun

    # Of Autobahn

    def onConnect(self, _: Any) -> tuple[str, dict[str, str]]:
        headers = Headers()
        self._request.site.add_headers(self._request, headers)
        if self._request.tap is not None:
            self._request.tap.upgraded(headers)
        return SUBPROTOCOL, {
            name.decode(): b", ".join(values).decode("latin-1")
            for name, values in headers.getAllRawHeaders()
        }

    def onOpen(self) -> None:
        self._request.setResponseCode(SWITCHING)

    def onMessageBegin(self, isBinary: bool) -> None:
        super().onMessageBegin(isBinary)
        if isBinary and not self.failedByMe:  # RFC 8887 §4.3.1
            self._fail_connection(_UNSUPPORTED_DATA, "only text is understood")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._request.tap is not None:
            self._request.tap.said(">", payload)
        if not isBinary and self.state == self.STATE_OPEN and not self._ending:
            self._running += 1
            ensureDeferred(self._answer(payload)).addErrback(self._broken)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        self._unsubscribe()
        if not self.ended.called:
            self.ended.callback(None)

    def dropConnection(self, abort: bool = False) -> None:
        super().dropConnection(abort)
        if not abort and not self._request.gone:  # what was written may never be taken
            self._request.channel.setTimeout(CLOSING)

    # Messages

    async def _answer(self, raw: bytes) -> None:
        self._messages += 1
        done = _Message(f"{self._request.id}.{self._messages}", self.factory.reactor.seconds())
        name = None
        try:
            value = await self._decode(raw)
            name = request_id(value)
            match read_message(value):
                case PushEnable() as enable:
                    done.methods = ("WebSocketPushEnable",)
                    await self._enable(enable)
                case PushDisable():
                    done.methods = ("WebSocketPushDisable",)
                    self._unsubscribe()
                case call:
                    await self._push_begun()
                    with self._api.request_slots.taken_by(self._principal.name):
                        reply = await self._api.answer(self._principal, call, response_head(name))
                    done.answer, done.methods = reply.body, reply.methods
        except Exception as error:
            problem = self._explain(error, done.id)
            done.status, done.answer = problem.status, encode_error(problem, name)
        self._log_message(done, len(raw))
        if done.answer:
            self._send_text(done.answer)
        self._running -= 1
        self._end_if_idle()

    async def _decode(self, raw: bytes) -> Any:
        if len(raw) <= LARGE:
            return await self._api.decode(raw)
        self._decoding = True  # one at a time
        self._hold_or_release()
        try:
            return await self._api.decode(raw)
        finally:
            self._decoding = False
            self._hold_or_release()

    def _explain(self, error: Exception, message_id: str) -> RequestError:
        if isinstance(error, RequestError):
            return error
        if isinstance(error, TemporaryFailure):
            return RequestError(
                None, "The server cannot answer this now; try again later.", status=503
            )
        _log.failure("request {request} failed", request=message_id)
        return RequestError(None, "The server failed to answer this request.", status=500)

    def _broken(self, failure: Failure) -> None:
        if failure.check(TemporaryFailure):
            why = failure.getErrorMessage()
            _log.warn("request {request} failed: {why}", request=self._request.id, why=why)
        else:
            _log.failure("request {request} failed", failure, request=self._request.id)
        self._fail_connection(self.CLOSE_STATUS_CODE_INTERNAL_ERROR, "the server failed")

    def _log_message(self, done: "_Message", octets_in: int) -> None:
        _log.info(
            "{peer} {request} {account} WebSocket {status} {milliseconds} ms "
            "in {octets_in} out {octets_out} {methods}",
            listener=self._request.site.name,
            request=done.id,
            peer=self._request.peer,
            account=self._principal.name,
            status=done.status,
            milliseconds=round((self.factory.reactor.seconds() - done.began) * 1000, 1),
            octets_in=octets_in,
            octets_out=len(done.answer),
            methods=" ".join(done.methods),
        )

    def _send_text(self, text: bytes) -> None:
        if self.state != self.STATE_OPEN:
            return
        if self._request.tap is not None:
            self._request.tap.said("<", text)
        # Autobahn would apply the limit to what is sent as well.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            self.sendMessage(text, doNotCompress=len(text) not in COMPRESSED)
        finally:
            self.maxMessagePayloadSize = limit

    # Push (RFC 8887 §4.3.5)

    async def _enable(self, enable: PushEnable) -> None:
        turn = self._unsubscribe()
        self._enabling += 1
        self._hold_or_release()
        try:
            account_ids = await self._api.account_ids(self._principal)
            subscription = await self._hub.subscribe(
                account_ids, enable.types, enable.push_state, self._push
            )
            self._subscribed(subscription, turn)
        finally:
            self._enabling -= 1
            if not self._enabling:
                waiting, self._waiting = self._waiting, []
                for request in waiting:
                    request.callback(None)
            self._hold_or_release()

    async def _push_begun(self) -> None:
        """Wait for what the client has enabled before.

        An answer could else be older than what push begins with, and what changed in
        between would never be told.
        """
        if self._enabling:
            self._waiting.append(Deferred())
            await self._waiting[-1]

    async def _move(self, old: Any, account_ids: frozenset[str]) -> None:
        turn = self._unsubscribe()
        self._subscribed(await self._hub.move(old, account_ids), turn)

    def _subscribed(self, subscription: Any, turn: int) -> None:
        if turn == self._turn:
            self._subscription = subscription
        else:  # the client has said something else meanwhile, or is gone
            subscription.stop()

    def _unsubscribe(self) -> int:
        self._turn += 1
        if self._subscription is not None:
            self._subscription.stop()
            self._subscription = None
        return self._turn

    def _push(self) -> None:
        if self._full or self._subscription is None or self.state != self.STATE_OPEN:
            return
        taken = self._subscription.take()
        if taken is not None:
            self._send_text(encode_state_change(*taken))

    # Flow

    def pauseProducing(self) -> None:
        self._full = True
        self._hold_or_release()

    def resumeProducing(self) -> None:
        self._full = False
        self._hold_or_release()
        self.factory.reactor.callLater(0, self._push)

    def stopProducing(self) -> None:
        """The connection is lost: `connectionLost` says so as well."""

    def _hold_or_release(self) -> None:
        if self._full or self._decoding or self._enabling:
            self._request.channel.hold()
        else:
            self._request.channel.release()

    # Ending

    def end(self) -> None:
        """Close when the requests that were accepted are answered.  Idempotent."""
        self._ending = True
        self._end_if_idle()

    def revoke(self) -> None:
        """Close at once: the login holds no longer.  Idempotent."""
        self._ending = True
        self._unsubscribe()
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(_POLICY_VIOLATION, b"the login holds no longer")

    def reach(self, principal: Principal, account_ids: frozenset[str]) -> None:
        """Answer as this principal from now on, and hear of these accounts."""
        self._principal = principal
        subscription = self._subscription
        if subscription is not None and subscription.account_ids != account_ids:
            ensureDeferred(self._move(subscription, account_ids)).addErrback(self._broken)

    def _end_if_idle(self) -> None:
        if self._ending and not self._running and self.state == self.STATE_OPEN:
            self.sendCloseFrame(_GOING_AWAY, b"the server stops")


class SocketFactory:
    """Makes WebSockets of requests."""

    def __init__(self, api: Any, hub: Any, settings: JmapWebSocket | None, reactor: Any) -> None:
        settings = settings or JmapWebSocket()
        self._api = api
        self._hub = hub
        # Of Autobahn's protocols, not of a port.
        self._factory = WebSocketServerFactory(reactor=reactor, server="")
        self._factory.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,  # say why
            openHandshakeTimeout=0,  # it is complete when it begins
            closeHandshakeTimeout=CLOSING,
            maxMessagePayloadSize=api.limits.request_size,
            perMessageCompressionAccept=_compression if settings.compression else _no_compression,
            autoPingInterval=settings.ping_interval,
            autoPingTimeout=settings.idle_timeout - settings.ping_interval,
        )

    def connect(self, request: Request, principal: Principal) -> JmapSocket:
        """The WebSocket that a request that was not refused becomes."""
        socket = JmapSocket(self._api, self._hub, request, principal)
        socket.factory = self._factory
        request.setResponseCode(400)  # Autobahn's, if it understands an extension otherwise
        request.startedWriting = True
        request.registerProducer(socket, True)
        request.channel.upgrade(socket, opening(request))
        return socket


def _no_compression(_: list[Any]) -> None:
    """Accept no offer."""


def _compression(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    """RFC 7692, with little memory, none of which outlives a message.

    An offer that would need more is not accepted.
    """
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            bits = min(offer.request_max_window_bits or _WINDOW_BITS, _WINDOW_BITS)
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                no_context_takeover=True,
                window_bits=bits,
                mem_level=_MEMORY_LEVEL,
            )
    return None

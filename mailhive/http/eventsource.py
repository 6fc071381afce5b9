"""The event source (RFC 8620 §7.3): StateChange objects as server-sent events."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from msgspec.json import Encoder
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.errors import TemporaryFailure
from mailhive.http.request import Request
from mailhive.jmap.errors import RequestError
from mailhive.model.principal import Principal

__all__ = ["EventOptions", "EventStream", "event_options"]

_log = Logger()
_encode = Encoder().encode

#: Bounds of a ping interval, seconds; RFC 8620 §7.3 asks for at most 30 and at least 300.
MIN_PING = 10
MAX_PING = 3600
#: After so many silent seconds a comment tells proxies that the connection is alive.
HEARTBEAT = 45


@frozen
class EventOptions:
    """The variables of the URL: `types` is None for all, `ping` 0 for none."""

    types: frozenset[str] | None
    close_after_state: bool
    ping: int


def event_options(query: Mapping[str, str]) -> EventOptions:
    """The options a URL asks for; `RequestError` 400 if a variable is missing or wrong."""
    types = query.get("types", "")
    close_after = query.get("closeafter", "")
    ping = query.get("ping", "")
    if not types:
        raise RequestError(None, "types must be * or a comma-separated list of type names.")
    if close_after not in ("state", "no"):
        raise RequestError(None, "closeafter must be state or no.")
    if not (ping.isascii() and ping.isdigit() and len(ping) < 10):
        raise RequestError(None, "ping must be a number of seconds.")
    return EventOptions(
        None if types == "*" else frozenset(types.split(",")),
        close_after == "state",
        min(max(int(ping), MIN_PING), MAX_PING) if int(ping) else 0,
    )


@implementer(IPushProducer)
class EventStream:
    """One client's stream; `run` ends when the client or the server has had enough.

    While the client takes nothing, nothing is written: what changes meanwhile
    waits in the subscription, which keeps the latest states only.  A client that takes
    nothing for `patience` seconds is cut.
    """

    def __init__(
        self, request: Request, options: EventOptions, hub: Any, reactor: Any, patience: float
    ) -> None:
        self._request = request
        self._options = options
        self._hub = hub
        self._reactor = reactor
        self._patience = patience
        self._subscription: Any = None  # push.hub.Subscription
        self._done: Deferred[None] = Deferred()
        self._paused = False
        self._tick: IDelayedCall | None = None
        self._cut: IDelayedCall | None = None

    async def run(self, account_ids: Iterable[str], last_event_id: str | None) -> None:
        """Send events of these accounts; `last_event_id` is where an earlier stream ended."""
        request = self._request
        request.setHeader(b"Content-Type", b"text/event-stream; charset=utf-8")
        # Proxies must pass on each event at once, and as it is; nginx has its own word for it.
        request.setHeader(b"Cache-Control", b"no-cache, no-store, no-transform")
        request.setHeader(b"X-Accel-Buffering", b"no")
        request.registerProducer(self, True)
        self._subscription = await self._hub.subscribe(
            account_ids, self._options.types, last_event_id, self._events
        )
        try:
            self._write(b": here are your events\n\n")
            await self._done
        finally:
            if self._subscription is not None:
                self._subscription.stop()
            for timer in (self._tick, self._cut):
                if timer is not None and timer.active():
                    timer.cancel()
            if not request.gone:
                request.unregisterProducer()

    def end(self) -> None:
        """Let `run` end.  Idempotent."""
        if not self._done.called:
            self._done.callback(None)

    revoke = end

    def reach(self, _: Principal, account_ids: frozenset[str]) -> None:
        """Hear of these accounts from now on."""
        subscription = self._subscription
        if subscription is not None and subscription.account_ids != account_ids:
            self._subscription = None
            ensureDeferred(self._move(subscription, account_ids)).addErrback(self._broken)

    async def _move(self, old: Any, account_ids: frozenset[str]) -> None:
        moved = await self._hub.move(old, account_ids)
        if self._done.called:
            moved.stop()
        else:
            self._subscription = moved

    def _broken(self, failure: Failure) -> None:
        if failure.check(TemporaryFailure):
            _log.warn("an event source ends: {why}", why=failure.getErrorMessage())
        else:
            _log.failure("an event source could not go on", failure)
        self.end()

    def _events(self) -> None:
        if self._paused or self._done.called or self._subscription is None:
            return
        taken = self._subscription.take()
        if taken is None:
            return
        changed, push_state = taken
        data = _encode({"@type": "StateChange", "changed": changed})
        self._write(b"event: state\ndata: " + data + b"\nid: " + push_state.encode() + b"\n\n")
        if self._options.close_after_state:
            self.end()

    def _write(self, data: bytes) -> None:
        self._request.write(data)
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        self._tick = self._reactor.callLater(self._options.ping or HEARTBEAT, self._silent)

    def _silent(self) -> None:
        if self._paused or self._done.called:
            return
        if self._options.ping:
            # Without an id: that of the last state event stays (RFC 8620 §7.3).
            data = _encode({"interval": self._options.ping})
            self._write(b"event: ping\ndata: " + data + b"\n\n")
        else:
            self._write(b":\n\n")

    def pauseProducing(self) -> None:
        self._paused = True
        if self._cut is None and not self._done.called:
            self._cut = self._reactor.callLater(self._patience, self._request.abandon)

    def resumeProducing(self) -> None:
        self._paused = False
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        self._cut = None
        self._reactor.callLater(0, self._resumed)

    def _resumed(self) -> None:
        if self._done.called:
            return
        self._events()
        if self._tick is not None and not self._tick.active():
            self._silent()

    def stopProducing(self) -> None:
        self.end()

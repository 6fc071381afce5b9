"""The octets of a request body, from the connection to whoever asks for them.

A handler starts as soon as the headers of its request are in, and decides
itself whether it wants the body, how much of it and where to put it:

    await request.body.read(writer.write, limit=limits.upload_size, too_large=error)

Until it asks, what arrives waits here.  More than `HIGH_WATER` waiting octets
hold the connection, so a client that nobody has let in yet costs no memory, and
one that sent `Expect: 100-continue` is told to go on only when its body is
wanted (RFC 9110 §10.1.1).
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

__all__ = ["HIGH_WATER", "Body", "ClientGone"]

#: Octets that may wait for a reader before the connection is held.
HIGH_WATER = 65_536


class ClientGone(Exception):
    """The connection was lost before the request was over."""


class Flow(Protocol):
    """What a body needs of its connection."""

    def hold(self) -> None:
        """Stop reading from the peer."""

    def release(self) -> None:
        """Read on; what was received meanwhile may be delivered at once."""

    def send_continue(self) -> None:
        """Send `100 Continue`."""


def _discard(data: bytes) -> None:
    pass


class Body:
    """One request body.

    `length` is its Content-Length, or None when it is chunked.  `received`
    counts what has arrived, `complete` says that it is all there.
    """

    received = 0
    _held = False
    _sink: Callable[[bytes], None] | None = None
    _room = 0
    _too_large: Exception | None = None
    _done: Deferred[None] | None = None
    _lost: ClientGone | None = None

    def __init__(self, flow: Flow, length: int | None, *, expects_continue: bool = False) -> None:
        self.length = length
        self.complete = length == 0
        self.expects_continue = expects_continue
        self._flow = flow
        self._waiting: list[bytes] = []

    def read(
        self, sink: Callable[[bytes], None], *, limit: int, too_large: Exception
    ) -> Deferred[None]:
        """Pass the body to `sink` as it arrives; fires when it is complete.

        Fails with `too_large` as soon as it is known to have more than `limit`
        octets, with what `sink` raised, or with `ClientGone`.  After a failure
        `sink` is not called again.  To be called once.
        """
        if self._lost is not None:
            return fail(self._lost)
        if self.length is not None and self.length > limit:
            return fail(too_large)
        self._sink, self._room, self._too_large = sink, limit, too_large
        done = self._done = Deferred()
        for data in self._take_waiting():
            self._deliver(data)
        if self.complete:
            self._fire(None)
        else:
            self._go_on()
        return done

    def take(self, limit: int) -> bytes | None:
        """The body, if it is all there and has no more than `limit` octets; else `read` it."""
        if not self.complete or self.received > limit:
            return None
        return b"".join(self._take_waiting())

    def discard(self) -> None:
        """Let what is still to come pass unread."""
        self._sink, self._room = _discard, 0
        self._too_large = None
        self._take_waiting()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """More octets have arrived."""
        self.received += len(data)
        if self._sink is not None:
            self._deliver(data)
            return
        self._waiting.append(data)
        if self.received > HIGH_WATER and not self._held:
            self._held = True
            self._flow.hold()

    def ended(self) -> None:
        """The last octet has arrived."""
        self.complete = True
        self._release()
        if self._done is not None:
            self._fire(None)

    def connection_lost(self) -> None:
        """Nothing more will arrive.  A body that is complete can still be read."""
        self._held = False
        if not self.complete:
            self._waiting.clear()
            self._lost = ClientGone()
            self._fire(self._lost)

    def _deliver(self, data: bytes) -> None:
        if self._sink is None or self._sink is _discard:
            return
        self._room -= len(data)
        if self._room < 0:
            self._sink = _discard
            self._fire(self._too_large)
            return
        try:
            self._sink(data)
        except Exception:
            self._sink = _discard
            self._fire(Failure())

    def _go_on(self) -> None:
        if self.expects_continue and not self.received and self._sink is not _discard:
            self._flow.send_continue()
        self.expects_continue = False
        self._release()

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._flow.release()

    def _take_waiting(self) -> list[bytes]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _fire(self, result: Exception | Failure | None) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if result is None:
            done.callback(None)
        else:
            done.errback(result)

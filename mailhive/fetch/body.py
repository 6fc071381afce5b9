"""Bodies of answers, up to a limit."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH

from mailhive.fetch.errors import FetchFailed

__all__ = ["read_body"]


def read_body(response: Any, limit: int) -> Deferred[bytes]:
    """The body of a response, `FetchFailed` if it is longer than `limit`.

    Cancelling, and a body that is too long, end the connection.
    """
    body = _Body(limit)
    response.deliverBody(body)
    if response.length is not UNKNOWN_LENGTH and response.length > limit:
        body.fail()
    return body.whole


class _Body(Protocol):
    def __init__(self, limit: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._end())
        self._limit = limit
        self._received = bytearray()
        self._ended = False

    def dataReceived(self, data: bytes) -> None:
        if not self._ended:
            self._received += data
            if len(self._received) > self._limit:
                self.fail()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._ended:
            return
        self._ended = True
        # Until HTTP/1.1 the end of the connection was the end of a body.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._received))
        else:
            self.whole.errback(reason)

    def fail(self) -> None:
        """It is too long."""
        if not self._ended:
            self._end()
            self.whole.errback(FetchFailed(f"the answer has more than {self._limit} octets"))

    def _end(self) -> None:
        self._ended = True
        if self.transport is not None:
            self.transport.loseConnection()

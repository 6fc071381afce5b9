"""One HTTP/1.1 connection: twisted.web's channel, made to last under abuse.

twisted.web bounds the head of a request (16 KiB in all and 500 fields, else 400)
and ends a connection on which nothing arrives.  Added here:

- a request has a deadline, so that a peer that drips octets cannot stay for ever;
- reading can be held, so that a body is taken only when somebody wants it;
- an answer that goes out before the body is in reaches a peer that is still
  sending: closing at once would make its system drop the answer (RFC 9112 §9.6).
"""

from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IProtocol, IPushProducer, ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from mailhive.auth.throttle import network
from mailhive.http.head import is_well_formed

if TYPE_CHECKING:
    from mailhive.http.request import Request
    from mailhive.http.site import JmapSite

__all__ = ["Channel"]

#: Seconds for which the rest of an unwanted body is read away before closing.
LINGER = 10.0


class Channel(HTTPChannel):
    """A connection of a `JmapSite`."""

    site: "JmapSite"
    requests: "list[Request]"  # one at most
    network = ""  # of the peer, for which connections are counted
    _deaf = False  # what still arrives is of no interest
    _answering = False  # the request is complete and its answer is being made
    _since: float | None = None  # when the request that is being received began
    _octets = 0  # received of it
    _upgraded: IProtocol | None = None  # what is spoken instead of HTTP

    def connectionMade(self) -> None:
        peer = cast(ITCPTransport, self.transport).getPeer()
        self.network = network(getattr(peer, "host", "unix"))
        self.site.channel_made(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        super().connectionLost(reason)
        if self._upgraded is not None:
            self._upgraded.connectionLost(reason)
        self.site.channel_gone(self)

    # Receiving

    def dataReceived(self, data: bytes) -> None:
        if self._upgraded is not None:
            if data:
                self._upgraded.dataReceived(data)
            return
        if self._deaf:
            return
        if data and not self._answering:
            now = self.site.reactor.seconds()
            if self._since is None:
                self._since, self._octets = now, 0
            self._octets += len(data)
            if now - self._since > self.site.time_allowed(self._octets):
                self._deaf = True
                self.timeoutConnection()
                return
        super().dataReceived(data)
        if self.requests:
            self.requests[-1].begin()

    def lineReceived(self, line: bytes) -> None:
        before = len(self.requests)
        super().lineReceived(line)
        if len(self.requests) > before:
            self.requests[-1].request_line = line

    def rawDataReceived(self, data: bytes) -> None:
        if not self._deaf:
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        if not is_well_formed(request.request_line, request.requestHeaders):
            self._respondToBadRequestAndDisconnect()
            return
        # The body asks for its 100 itself, so twisted.web must not see this.
        request.take_expectation()
        super().allHeadersReceived()

    def headerReceived(self, line: bytes) -> bool:
        try:
            return super().headerReceived(line)
        except ValueError:  # a Content-Length of thousands of digits
            self._respondToBadRequestAndDisconnect()
            return False

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Of twisted.web: what it does about a request that it cannot read."""
        self._deaf = True
        if self.requests:
            self.requests[-1].is_malformed = True
        cast(ITCPTransport, self.transport).write(self.site.bad_request)
        self.loseConnection()

    def allContentReceived(self) -> None:
        if self._deaf:  # the body ended in the very data that it was refused for
            return
        self._answering, self._since = True, None
        super().allContentReceived()

    # Flow of a body

    def hold(self) -> None:
        """Stop reading from the peer."""
        self.paused = True
        self._pausable.pauseProducing()

    def release(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            self._pausable.resumeProducing()
            self.dataReceived(b"")

    def resumeProducing(self) -> None:
        """The transport has room again: that is no reason to end a hold."""
        super().resumeProducing()
        if self.paused:
            self._pausable.pauseProducing()

    @property
    def _pausable(self) -> IPushProducer:
        return cast(IPushProducer, self.transport)

    def send_continue(self) -> None:
        """Tell the peer that its body is wanted."""
        self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Speaking something else

    def upgrade(self, protocol: IProtocol, opening: bytes) -> None:
        """Speak `protocol` from now on (RFC 9110 §7.8); `opening` is what it hears first.

        The request goes on until the connection ends.  It is the consumer of
        what the protocol writes, and `hold` and `release` go on working.
        """
        early, self._dataBuffer = self._dataBuffer, []
        self._upgraded = protocol
        protocol.makeConnection(self.transport)  # type: ignore[arg-type]
        for data in (opening, *early):
            protocol.dataReceived(data)
        self._pausable.resumeProducing()

    # Ending

    def requestDone(self, request: "Request") -> None:
        self._answering = False
        if request.body.complete:
            if self.site.draining:
                self.persistent = False
            super().requestDone(request)
            return
        self._deaf = True
        self.requests.remove(request)
        self.clearLineBuffer()
        self.setTimeout(LINGER)
        if self.paused:
            self.paused = False
            self._pausable.resumeProducing()

    def abort(self) -> None:
        """End the connection so that the peer cannot take it for a normal end."""
        cast(ITCPTransport, self.transport).abortConnection()

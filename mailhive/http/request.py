"""A request that starts with its headers and whose body is read on demand."""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_to_bytes

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import SWITCHING

from mailhive.http.body import HIGH_WATER, Body
from mailhive.http.head import origin_form
from mailhive.http.reply import INTERNAL_ERROR, Reply
from mailhive.http.wiretap import Tap

if TYPE_CHECKING:
    from mailhive.auth.grant import Grant
    from mailhive.http.channel import Channel
    from mailhive.http.site import JmapSite

__all__ = ["Request"]

#: The names that a trusted proxy may give to requests.
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Request(server.Request):
    """A request of a `JmapSite`.

    It is routed when its headers are in, and whatever of its body came with them; the
    handler reads `body`, and an answer may be written at any moment.  What the answer
    leaves of the body is read away when that is little, else the connection is closed.
    """

    site: "JmapSite"
    channel: "Channel"
    defaultContentType = None
    log = Logger()

    method = b"-"  # until it is known, for the log
    request_line = b""
    is_malformed = False  # and answered by the channel
    expects_continue = False
    gone = False  # the connection is lost
    has_ticket = False  # which authenticated it
    grant: "Grant | None" = None  # once it is authenticated
    _peer: str | None = None
    _has_head = False
    _begun = False  # it was routed
    _answered = False
    _unfinished = False  # answered; finishes when the body has passed

    def __init__(self, channel: "Channel", *args: Any, **kwargs: Any) -> None:
        super().__init__(channel, *args, **kwargs)
        self.site = channel.site
        #: The address of whoever opened the connection: the client, or a proxy.
        self.connected_from: str = getattr(self.client, "host", "unix")
        #: May fields be believed that only proxies set?
        self.is_from_proxy = self.site.proxies.is_trusted(self.connected_from)
        self.id = self.site.next_request_id()
        self.began = self.site.reactor.seconds()
        self.body = Body(channel, 0)
        self.account: str | None = None  # the name of the principal, for the log
        self.tap = Tap(self) if self.site.wiretap else None
        self.methods: tuple[str, ...] = ()  # the JMAP methods called, for the log

    # Receiving

    def header(self, name: bytes) -> str | None:
        """A header field as text of any octets; repeated ones are joined by commas."""
        values = self.requestHeaders.getRawHeaders(name)
        return None if values is None else b", ".join(values).decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The variables of the URL.  Not `args`, which are split at semicolons as well."""
        return dict(parse_qsl(self.uri.partition(b"?")[2].decode("latin-1")))

    def take_expectation(self) -> None:
        """Note and remove `Expect: 100-continue`; HTTP/1.0 has none (RFC 9110 §10.1.1)."""
        if (self.header(b"expect") or "").lower() == "100-continue":
            self.requestHeaders.removeHeader(b"expect")
            self.expects_continue = self.request_line.endswith(b"HTTP/1.1")

    def gotLength(self, length: int | None) -> None:
        self._has_head = True
        if length != 0:
            self.body = Body(self.channel, length, expects_continue=self.expects_continue)

    def handleContentChunk(self, data: bytes) -> None:
        if self.tap is not None:
            self.tap.received(data)
        self.body.data_received(data)

    def requestReceived(self, *_: bytes) -> None:
        """Head and body are in."""
        self.body.ended()
        self.begin()
        if self._unfinished:
            super().finish()

    def begin(self) -> None:
        """Have it answered if it can be, and that was not begun."""
        if self._begun or not self._has_head or self.is_malformed:
            return
        self._begun = True
        self.method, target, self.clientproto = self.request_line.split(b" ")
        self.uri, host = origin_form(target)
        self.path = self.uri.partition(b"?")[0]
        if host is not None:  # it goes before the header field (RFC 9112 §3.2.2)
            self.requestHeaders.setRawHeaders(b"host", [host])
        if self.is_from_proxy:
            given = self.header(b"x-request-id") or ""
            self.id = given if _ID.fullmatch(given) else self.id
        self.process()

    def process(self) -> None:
        """Of twisted.web, which first does what only routes by a part of the path need."""
        resource = self.site.resource_at(self)
        if resource is None:
            super().process()
            return
        try:
            resource.render(self)
        except Exception:
            self.processingFailed(Failure())

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        self.body.connection_lost()
        if self.is_malformed:
            self.setResponseCode(400)
        self.site.log_request(self, gone=self.code != SWITCHING and not self.is_malformed)
        super().connectionLost(reason)

    # Answering

    def processingFailed(self, reason: Failure) -> None:
        """An error that no handler turned into an answer: ours, and nobody else's to see."""
        if not self.gone or not reason.check(CancelledError):
            self.log.failure("request {id} failed", failure=reason, id=self.id)
        if self.startedWriting:
            self.abandon()
        elif not self.gone:
            self.send(INTERNAL_ERROR)
            self.finish()

    def send(self, reply: Reply) -> None:
        """Write a whole answer; the caller finishes the request."""
        self.setResponseCode(reply.status)
        for name, value in reply.headers:
            self.responseHeaders.addRawHeader(name, value)
        if reply.body:
            self.setHeader(b"Content-Type", reply.media_type)
        if reply.status not in (204, 304):
            self.setHeader(b"Content-Length", str(len(reply.body)))
        self.write(reply.body)

    def write(self, data: bytes) -> None:
        if not self.startedWriting and not self.gone:
            self.site.add_headers(self, self.responseHeaders)
            if self.site.draining or not self._body_passes():
                self.setHeader(b"Connection", b"close")
                self.channel.persistent = False
        if self.tap is not None:
            self.tap.sent(data)
        super().write(data)

    def finish(self) -> None:
        if self._answered or self.gone:
            return
        self._answered = True
        if not self.startedWriting:
            self.write(b"")
        if not self.body.complete and self.channel.persistent:
            self._unfinished = True
            self.body.discard()
        else:
            super().finish()

    def _body_passes(self) -> bool:
        """May the connection go on after what is left of the body?"""
        body = self.body
        if body.complete:
            return True
        # Who waits for a 100 may or may not send the body after another answer.
        return body.length is not None and body.length <= HIGH_WATER and not body.expects_continue

    def abandon(self) -> None:
        """Give up an answer that has begun, so that the client cannot take it for whole."""
        if not self.gone:
            self._answered = True
            self.channel.abort()

    @property
    def peer(self) -> str:
        """The client's address, as far as trusted proxies tell it."""
        if not self.is_from_proxy:
            return self.connected_from
        if self._peer is None:
            self._peer = self.site.proxies.client(self.connected_from, self.header)
        return self._peer

    def is_decodable(self) -> bool:
        """Are path and host text?"""
        try:
            unquote_to_bytes(self.path).decode()
        except UnicodeDecodeError:
            return False
        return (self.header(b"host") or "").isascii()

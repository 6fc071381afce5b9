"""Requests and answers as they go over the wire, for `log.wiretap`; credentials are not shown."""

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.web.http import RESPONSES, SWITCHING
from twisted.web.http_headers import Headers

from mailhive.edge.excerpt import Excerpt
from mailhive.edge.redact import REDACTED, is_secret, redact_target

if TYPE_CHECKING:
    from mailhive.http.request import Request

__all__ = ["Tap"]

_log = Logger(namespace="mailhive.wiretap")


class Tap:
    """What one request and its answer are, told to the log.

    The request is told when its answer begins, and the answer when it is over; what is
    said on a WebSocket or by an event source, at once.
    """

    def __init__(self, request: "Request") -> None:
        self._request = request
        self._asked = Excerpt()
        self._answered = Excerpt()
        self._request_told = self._over = False
        self._streams = False

    def received(self, data: bytes) -> None:
        """A part of the request's body."""
        self._asked.add(data)

    def sent(self, data: bytes) -> None:
        """The headers of the answer are complete, and this is a part of its body."""
        if not self._request_told:
            self._tell_request()
            content = self._request.responseHeaders.getRawHeaders(b"content-type", [b""])[0]
            self._streams = content.startswith(b"text/event-stream")
            if self._streams:
                self._tell_answer(self._request.code, self._request.responseHeaders)
        if not self._streams:
            self._answered.add(data)
        elif data:
            self.said("<", data)

    def upgraded(self, headers: Headers) -> None:
        """The answer is 101, with these headers."""
        self._tell_request()
        self._streams = True
        self._tell_answer(SWITCHING, headers)

    def said(self, direction: str, data: bytes) -> None:
        """A message of a WebSocket, or a piece of a stream; `direction` is > for the client's."""
        excerpt = Excerpt()
        excerpt.add(data)
        self._tell(direction, excerpt.text())

    def ended(self) -> None:
        """Nothing more comes."""
        if self._over:
            return
        self._over = True
        self._tell_request()
        if not self._streams and self._request.startedWriting:
            self._tell_answer(self._request.code, self._request.responseHeaders)

    def _tell_request(self) -> None:
        if self._request_told:
            return
        self._request_told = True
        request = self._request
        words = request.request_line.decode("latin-1").split(" ")
        line = " ".join(map(redact_target, words))
        self._tell(">", _dump(line, request.requestHeaders, self._asked))

    def _tell_answer(self, code: int, headers: Headers) -> None:
        line = f"HTTP/1.1 {code} {RESPONSES.get(code, b'').decode()}"
        self._tell("<", _dump(line, headers, self._answered))

    def _tell(self, direction: str, dump: str) -> None:
        request = self._request
        _log.info(
            "{peer} {listener} {request} {direction} {dump}",
            peer=request.peer,
            listener=request.site.name,
            request=request.id,
            direction=direction,
            dump=dump,
        )


def _dump(line: str, headers: Headers, body: Excerpt) -> str:
    lines = [line]
    for name, values in headers.getAllRawHeaders():
        shown = name.decode("latin-1")
        for value in values:
            text = REDACTED if is_secret(shown) else value.decode("latin-1")
            lines.append(f"{shown}: {text}")
    media_type, coding = (
        b"".join(headers.getRawHeaders(name, [b""])[:1]).decode("latin-1").lower()
        for name in (b"content-type", b"content-encoding")
    )
    content = body.text(media_type, coding)
    return "\n".join([*lines, "", content] if content else lines)

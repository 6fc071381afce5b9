"""One connection to an LDAP server, with one request at a time (RFC 4511).

Messages are coded by sansldap.  They are cut out of the stream here, so that no
more of an answer is ever held than it may be long; whatever is not to the protocol
ends the connection.
"""

from typing import Any, Self

from attrs import frozen
from sansldap import (
    BindResponse,
    ExtendedOperations,
    ExtendedResponse,
    LDAPClient,
    LDAPFilter,
    LDAPMessage,
    LDAPResult,
    LDAPResultCode,
    PagedResultControl,
    SearchResultDone,
    SearchResultEntry,
    SearchResultReference,
    SearchScope,
)
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.errors import TemporaryFailure

__all__ = ["Found", "LdapConnection", "Outcome", "ServerFailed", "frame_length"]

_SEQUENCE = 0x30
_LENGTH_OCTETS = 4
#: RFC 4511 §4.3: it ends in a NULL, where sansldap has a SEQUENCE.
_UNBIND = bytes.fromhex("30 08 02 04 7fffffff 42 00")


class ServerFailed(TemporaryFailure):
    """A server cannot be reached, does not answer in time, or not as it should.

    `silent` if it had the time, so that there is no point in asking it once more.
    """

    def __init__(self, why: str, *, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


@frozen
class Outcome:
    """The result of a request (RFC 4511 §4.1.9): its code, and what it says for a log."""

    code: int
    text: str

    @classmethod
    def of(cls, result: LDAPResult) -> Self:
        # The number itself: of a code that sansldap does not know the member is equal to 0,
        # which is success.
        code: int = result.result_code.value
        said = "".join(c if c.isprintable() else "?" for c in result.diagnostics_message[:200])
        name = result.result_code.name.lower().replace("_", " ")
        return cls(code, f"{name}: {said}" if said else name)

    @property
    def is_success(self) -> bool:
        return self.code == LDAPResultCode.SUCCESS.value

    def unless_busy(self) -> Self:
        """This; ServerFailed if it is that the server has no time or is going down."""
        if self.code in (LDAPResultCode.BUSY.value, LDAPResultCode.UNAVAILABLE.value):
            raise ServerFailed(self.text)
        return self


@frozen
class Found:
    """What a search found: its result, entries, how many references, and the page's cookie."""

    result: Outcome
    entries: list[SearchResultEntry]
    references: int
    cookie: bytes


def frame_length(start: bytes | bytearray) -> int | None:
    """Octets of the message that begins so, or None if that cannot be told yet.

    ValueError if no message begins so.
    """
    # RFC 4511 §5.1: definite lengths only
    if not start:
        return None
    if start[0] != _SEQUENCE:
        raise ValueError("no message")
    if len(start) < 2:
        return None
    length = start[1]
    if length < 0x80:
        return 2 + length
    octets = length & 0x7F
    if not 1 <= octets <= _LENGTH_OCTETS:
        raise ValueError("a message of no definite length, or too long")
    if len(start) < 2 + octets:
        return None
    return 2 + octets + int.from_bytes(start[2 : 2 + octets], "big")


@implementer(IHandshakeListener)
class LdapConnection(Protocol):
    """Requests fail with `ServerFailed` once the connection is lost.

    A Deferred that is cancelled ends it: nobody could tell what the answer that is
    yet to come belongs to.  `largest` is how many octets one answer may have.
    """

    transport: Any

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._client = LDAPClient()
        self._buffer = bytearray()
        self._octets = 0  # of the answer so far
        self._messages: list[LDAPMessage] = []
        self._waiting: Deferred[Any] | None = None
        self._in_handshake = False
        self._why: str | None = None
        self._lost: Failure | None = None
        self._closed: list[Deferred[None]] = []

    @property
    def is_usable(self) -> bool:
        """May another request be made?"""
        return self._lost is None and self._why is None and self._waiting is None

    # Requests

    def start_tls(self, options: Any) -> Deferred[None]:
        """Ask for TLS and go on as `encrypt` does (RFC 4511 §4.14)."""
        name = ExtendedOperations.LDAP_START_TLS.value
        asked = self._ask(lambda client: client.extended_request(name))
        return asked.addCallback(self._begin_tls, options)

    def encrypt(self, options: Any) -> Deferred[None]:
        """Begin TLS; fires when the server has proved its name, and not before.

        What is written earlier would be on its way by then.
        """
        self._in_handshake = True
        self._waiting = Deferred(self._cancelled)
        waiting = self._waiting
        self.transport.startTLS(options)
        return waiting

    def bind(self, dn: str, password: str) -> Deferred[Outcome]:
        """Fire with the result of a simple bind (RFC 4511 §4.2).

        ValueError without a name or a password: that would succeed and prove nothing
        (RFC 4513 §5.1.2).
        """
        if not dn or not password:
            raise ValueError("a bind needs a name and a password")
        asked = self._ask(lambda client: client.bind_simple(dn, password))
        return asked.addCallback(_result_of, BindResponse)

    def search(
        self,
        base: str,
        scope: SearchScope,
        wanted: LDAPFilter,
        attributes: list[str],
        *,
        size_limit: int = 0,
        time_limit: int = 0,
        page_size: int = 0,
        cookie: bytes = b"",
    ) -> Deferred[Found]:
        """Fire with what a search finds (RFC 4511 §4.5), a page of it if `page_size` is not 0."""
        controls: list[Any] = []
        if page_size:
            controls = [PagedResultControl(critical=False, size=page_size, cookie=cookie)]
        asked = self._ask(
            lambda client: client.search_request(
                base,
                scope,
                size_limit=size_limit,
                time_limit=time_limit,
                filter=wanted,
                attributes=attributes,
                controls=controls,
            )
        )
        return asked.addCallback(_found)

    def close(self) -> None:
        """Take leave.  Nothing may be asked any more."""
        if self._lost is None and self._why is None:
            self._why = "the connection was closed"
            self.transport.write(_UNBIND)
            self.transport.loseConnection()

    def abort(self, why: str) -> None:
        """Cut the connection."""
        if self._lost is None:
            self._why = self._why or why
            self.transport.abortConnection()

    def closed(self) -> Deferred[None]:
        """Fire when the connection has ended."""
        if self._lost is not None:
            return succeed(None)
        self._closed.append(Deferred())
        return self._closed[-1]

    # Protocol

    def dataReceived(self, data: bytes) -> None:
        if self._why is not None:
            return
        self._buffer += data
        self._octets += len(data)
        try:
            if self._octets > self._largest:
                self._refuse()
            while (length := self._complete()) is not None and self._why is None:
                frame = bytes(self._buffer[:length])
                del self._buffer[:length]
                self._hear(frame)
        except Exception as error:  # a peer may send anything, and sansldap expects less
            self.abort(f"the server sent {str(error)[:200] or type(error).__name__}")

    def handshakeCompleted(self) -> None:
        if self._in_handshake:
            self._in_handshake = False
            self._answer(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = reason
        why = self._why or _why(reason)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(ServerFailed(why))
        for closed in self._closed:
            closed.callback(None)

    # Inside

    def _ask(self, request: Any) -> Deferred[Any]:
        """Make one request; fires with every message of the answer."""
        if not self.is_usable:
            return fail(ServerFailed(self._why or "the connection is closed"))
        self._messages, self._octets = [], 0
        request(self._client)
        self._waiting = Deferred(self._cancelled)
        waiting = self._waiting
        self._send()
        return waiting

    def _send(self) -> None:
        self.transport.write(self._client.data_to_send())

    def _complete(self) -> int | None:
        """The length of the first message in the buffer, if all of it is there."""
        length = frame_length(self._buffer)
        if length is not None and length > self._largest:
            self._refuse()
        return length if length is not None and len(self._buffer) >= length else None

    def _hear(self, frame: bytes) -> None:
        messages = self._client.receive(frame)
        if len(messages) != 1:
            raise ValueError("a message that is cut short")
        self._messages += messages
        if not isinstance(messages[0], SearchResultEntry | SearchResultReference):
            if self._buffer:
                raise ValueError("more than was asked for")
            self._answer(self._messages)

    def _answer(self, answer: Any) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(answer)

    def _refuse(self) -> None:
        """Cut off an answer that is too long: of that request, the server may be fine."""
        why = f"an answer of more than {self._largest} octets"
        self.abort(why)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(TemporaryFailure(f"the LDAP server gave {why}"))

    def _begin_tls(self, messages: list[LDAPMessage], options: Any) -> Deferred[None]:
        result = _result_of(messages, ExtendedResponse)
        if not result.is_success:
            raise ServerFailed(f"STARTTLS was refused ({result.text})")
        return self.encrypt(options)

    def _cancelled(self, _: Deferred[Any]) -> None:
        self._waiting = None
        self.abort("an answer was not waited for")


def _result_of(messages: list[LDAPMessage], kind: Any) -> Outcome:
    if len(messages) != 1 or not isinstance(messages[0], kind):
        raise ServerFailed("the server answered something else than it was asked")
    return Outcome.of(messages[0].result)


def _found(messages: list[LDAPMessage]) -> Found:
    *before, done = messages
    if not isinstance(done, SearchResultDone):
        raise ServerFailed("the server answered something else than it was asked")
    entries = [message for message in before if isinstance(message, SearchResultEntry)]
    cookies = [c.cookie for c in done.controls if isinstance(c, PagedResultControl)]
    references = len(before) - len(entries)
    return Found(Outcome.of(done.result), entries, references, cookies[0] if cookies else b"")


def _why(reason: Failure) -> str:
    if reason.check(ConnectionDone):
        return "the server closed the connection"
    return reason.getErrorMessage() or type(reason.value).__name__

"""Connections to the first of several servers that works.

A server that failed is left alone for a second, then for twice as long each time
it fails again, and is tried by one request at a time until it works; the next one
in the list is asked meanwhile.  With none left requests fail at once.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger

from mailhive.directory.ldap.connection import LdapConnection, ServerFailed
from mailhive.directory.ldap.settings import LdapSettings
from mailhive.directory.ldap.url import LdapUrl
from mailhive.errors import TemporaryFailure

__all__ = ["Pool", "Server", "servers_of"]

_WAITING = 200  # requests that may wait for a connection
_IDLE = 60.0  # seconds that a connection is kept unused: some firewalls forget it then
_FIRST_PAUSE = 1.0

_Result = TypeVar("_Result")


@define(eq=False)
class Server:
    """One server and how it fares.  `trust_root` is who may sign its certificate."""

    url: LdapUrl
    starttls: bool
    trust_root: Any
    largest: int  # octets of an answer
    timeout: float  # seconds, of a connection and of each answer
    back_off: float  # seconds, the longest
    reactor: Any
    _failures: int = 0
    _left_alone_until: float = 0.0
    _log = Logger()

    def take(self) -> int | None:
        """What `failed` is to be told, or None if the server is to be left alone.

        After a failure one request is let through, until the next pause has passed.
        """
        now = self.reactor.seconds()
        if now < self._left_alone_until:
            return None
        if self._failures:
            self._left_alone_until = now + self._pause()
        return self._failures

    def failed(self, taken: int, why: str) -> None:
        """A request failed.  Several that did so together count once."""
        if taken != self._failures:
            return
        if not self._failures:
            self._log.error("{url} failed: {why}", url=str(self.url), why=why)
        self._left_alone_until = self.reactor.seconds() + self._pause()
        self._failures += 1

    def worked(self) -> None:
        """A request was answered."""
        if self._failures:
            self._log.info("{url} works again", url=str(self.url))
        self._failures = 0
        self._left_alone_until = 0.0

    async def connect(self) -> LdapConnection:
        """A new connection, encrypted if it has to be; ServerFailed."""
        connection = LdapConnection(self.largest)
        endpoint = HostnameEndpoint(self.reactor, self.url.host, self.url.port, self.timeout)
        connecting = _given_up_as_such(connectProtocol(endpoint, connection))
        try:
            await connecting.addTimeout(self.timeout, self.reactor, _too_late)
        except (CancelledError, ServerFailed):
            raise
        except Exception as error:  # whatever sockets and resolvers come up with
            raise ServerFailed(str(error) or type(error).__name__, silent=True) from error
        if self.url.tls or self.starttls:
            options = optionsForClientTLS(self.url.host, self.trust_root)
            begin = connection.encrypt if self.url.tls else connection.start_tls
            await self.answered(connection, begin(options))
        return connection

    async def answered(self, connection: LdapConnection, answer: "Deferred[_Result]") -> _Result:
        """What `answer` fires with.  In time, or the connection is cut: ServerFailed."""
        try:
            return await answer.addTimeout(self.timeout, self.reactor, _too_late)
        except BaseException as error:
            connection.abort(str(error) or "a request was given up")
            raise

    def _pause(self) -> float:
        return min(_FIRST_PAUSE * 2.0 ** min(self._failures, 30), self.back_off)


def _given_up_as_such(attempt: "Deferred[Any]") -> "Deferred[Any]":
    """What fires as `attempt` does, but fails with CancelledError if it is cancelled.

    Of an endpoint that was cancelled one hears that a name has no address.
    """
    given_up = False

    def cancel(_: "Deferred[Any]") -> None:
        nonlocal given_up
        given_up = True
        attempt.cancel()

    def settle(result: Any) -> None:
        if not given_up:
            outcome.callback(result)  # a Failure fails it

    outcome: Deferred[Any] = Deferred(cancel)
    attempt.addBoth(settle)
    return outcome


def _too_late(_: object, seconds: float) -> NoReturn:
    raise ServerFailed(f"no answer in {seconds:g} s", silent=True)


def servers_of(settings: LdapSettings, reactor: Any) -> list[Server]:
    """The servers that the settings name."""
    trust_root = platformTrust()
    if settings.tls.ca is not None:
        pem = settings.tls.ca.read_bytes()
        end = b"-----END CERTIFICATE-----"
        parts = [part + end for part in pem.split(end)[:-1]]
        trust_root = trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])
    return [
        Server(
            url=LdapUrl.parse(url),
            starttls=settings.tls.starttls,
            trust_root=trust_root,
            largest=settings.max_answer,
            timeout=settings.timeout,
            back_off=settings.back_off,
            reactor=reactor,
        )
        for url in settings.url
    ]


@define(eq=False)
class Pool:
    """At most `size` connections.  `prepare` is awaited with each new one."""

    servers: list[Server]
    size: int
    timeout: float
    reactor: Any
    prepare: Callable[[LdapConnection], "Deferred[None]"]
    _slots: DeferredSemaphore = field(init=False)
    _idle: dict[Server, list[tuple[float, LdapConnection]]] = field(init=False)
    _open: set[LdapConnection] = field(factory=set, init=False)
    _is_closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = DeferredSemaphore(self.size)
        self._idle = {server: [] for server in self.servers}

    async def run(self, request: Callable[[LdapConnection], "Deferred[_Result]"]) -> _Result:
        """The result of `request(connection)`, which may be asked again elsewhere.

        TemporaryFailure when no server works, or too many requests wait.
        """
        if len(self._slots.waiting) >= _WAITING:
            raise TemporaryFailure("too many requests wait for the LDAP server")
        try:
            await self._slots.acquire().addTimeout(self.timeout, self.reactor)
        except DeferredTimeout as error:
            raise TemporaryFailure("every connection to the LDAP server is in use") from error
        try:
            return await self._somewhere(request)
        finally:
            # Not from here: all that wait may fail at once, each within the one before.
            self.reactor.callLater(0, self._slots.release)

    async def close(self) -> None:
        """Close what is idle; the others follow when their requests have ended."""
        self._is_closed = True
        idle = [connection for kept in self._idle.values() for _, connection in kept]
        for kept in self._idle.values():
            kept.clear()
        for connection in idle:
            connection.close()
        if not await self._have_ended():
            for connection in list(self._open):
                connection.abort("the directory was closed")
            await self._have_ended()

    async def _somewhere(self, request: Callable[[LdapConnection], "Deferred[_Result]"]) -> _Result:
        why = "each was left alone after a failure"
        for server in self.servers:
            taken = server.take()
            if taken is None:
                continue
            try:
                result = await self._at(server, request)
            except ServerFailed as error:
                why = str(error)
                server.failed(taken, why)
                continue
            except TemporaryFailure:  # of this request
                server.worked()
                raise
            server.worked()
            return result
        raise TemporaryFailure(f"no LDAP server works: {why}")

    async def _at(
        self, server: Server, request: Callable[[LdapConnection], "Deferred[_Result]"]
    ) -> _Result:
        kept = self._kept(server)
        if kept is not None:
            try:
                return await self._use(server, kept, request)
            except ServerFailed as error:
                if error.silent:
                    raise
                # The server may have closed it just before.
        fresh = await server.connect()
        self._open.add(fresh)
        fresh.closed().addCallback(lambda _: self._open.discard(fresh))
        await server.answered(fresh, self.prepare(fresh))
        return await self._use(server, fresh, request)

    async def _use(
        self,
        server: Server,
        connection: LdapConnection,
        request: Callable[[LdapConnection], "Deferred[_Result]"],
    ) -> _Result:
        result = await server.answered(connection, request(connection))
        if self._is_closed:
            connection.close()
        elif connection.is_usable:
            self._idle[server].append((self.reactor.seconds(), connection))
        return result

    async def _have_ended(self) -> bool:
        ending = [connection.closed() for connection in self._open]
        try:
            await DeferredList(ending, consumeErrors=True).addTimeout(self.timeout, self.reactor)
        except DeferredTimeout:
            return False
        return True

    def _kept(self, server: Server) -> LdapConnection | None:
        """An idle connection that still works; those that do not, or are old, go."""
        oldest = self.reactor.seconds() - _IDLE
        idle = self._idle[server]
        found = None
        while idle and found is None:
            since, connection = idle.pop()
            if connection.is_usable and since >= oldest:
                found = connection
            else:
                connection.close()
        return found

"""The one way in: every route is authenticated, limited, answered and logged here."""

from collections.abc import Awaitable, Callable
from functools import wraps
from math import ceil
from typing import Any, Concatenate, Protocol

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from mailhive.auth.errors import NoAccount, TooManyAttempts, Unauthorized
from mailhive.auth.tickets import Tickets
from mailhive.errors import AccountNotFound, TemporaryFailure
from mailhive.http.body import ClientGone
from mailhive.http.compress import compressed
from mailhive.http.reply import INTERNAL_ERROR, Reply, plain_problem, problem
from mailhive.http.request import Request
from mailhive.jmap.errors import RequestError
from mailhive.model.principal import Principal

__all__ = ["Gate", "route", "ticket_route"]

_log = Logger()


class Gate:
    """What a route needs around itself.

    `chain` authenticates, or a ticket of `tickets`; `offload(fn, *args)` runs a
    function on a thread and returns a Deferred.
    """

    def __init__(self, chain: Any, tickets: Tickets, offload: Callable[..., Deferred[Any]]) -> None:
        self.tickets = tickets
        self._chain = chain
        self._offload = offload

    async def serve(
        self,
        request: Request,
        handler: Callable[[Request, Principal], Awaitable[Reply | None]],
        *,
        takes_tickets: bool = False,
    ) -> None:
        """Answer `request` with what `handler` returns; None says that it has answered itself.

        The caller finishes the request.  Raises nothing.
        """
        try:
            grant = None
            if takes_tickets and (ticket := request.query.get("ticket")) is not None:
                grant = await self.tickets.redeem_anywhere(ticket)
                request.has_ticket = grant is not None
            if grant is None:
                grant = await self._chain.authenticate(Credentials(request), request.peer)
            request.grant = grant
            request.account = grant.principal.name
            reply = await handler(request, grant.principal)
            if reply is None:
                return
            reply = await compressed(reply, request.header, self._offload)
        except Exception as error:
            reply = self._explain(request, error)
        if request.gone:
            return
        if request.startedWriting:
            request.abandon()
        else:
            request.send(reply)

    def _explain(self, request: Request, error: Exception) -> Reply:
        """The answer to an error, which is logged if it is ours."""
        if isinstance(error, RequestError):
            return problem(error)
        if isinstance(error, Unauthorized):
            challenges = ((b"WWW-Authenticate", c.encode()) for c in error.challenges)
            return plain_problem(401, "Authentication is required.", *challenges)
        if isinstance(error, TooManyAttempts):
            retry = (b"Retry-After", b"%d" % ceil(error.retry_after))
            return plain_problem(429, "Too many failed logins; try again later.", retry)
        if isinstance(error, NoAccount):
            return plain_problem(403, str(error))
        if isinstance(error, AccountNotFound):
            return plain_problem(404, "There is no such account.")
        if isinstance(error, TemporaryFailure):
            return plain_problem(503, "The server cannot answer this now; try again later.")
        if not request.gone and not isinstance(error, ClientGone):
            _log.failure("request {id} failed", id=request.id)
        return INTERNAL_ERROR


class Credentials:
    """The headers of a request as strategies read them, also when it is over."""

    def __init__(self, request: Request) -> None:
        self._headers = request.requestHeaders
        self.connected_from = request.connected_from

    def get(self, name: str) -> str | None:
        """The value of a field; if it is repeated, the values joined by commas."""
        values = self._headers.getRawHeaders(name.encode())
        return None if values is None else b", ".join(values).decode("latin-1")


class Gated(Protocol):
    """An object whose methods are routes."""

    gate: Gate


Handler = Callable[Concatenate[Any, Request, Principal, ...], Awaitable[Reply | None]]


def route(handler: Handler) -> Callable[..., Deferred[None]]:
    """Make a method `(request, principal, **segments of the path)` a route of a `Gated`."""
    return _endpoint(handler, takes_tickets=False)


def ticket_route(handler: Handler) -> Callable[..., Deferred[None]]:
    """The same, which can also be entered with a ticket in the query."""
    return _endpoint(handler, takes_tickets=True)


def _endpoint(handler: Handler, *, takes_tickets: bool) -> Callable[..., Deferred[None]]:
    @wraps(handler)
    def endpoint(self: Gated, request: Request, **segments: str) -> Deferred[None]:
        return ensureDeferred(
            self.gate.serve(
                request,
                lambda request, principal: handler(self, request, principal, **segments),
                takes_tickets=takes_tickets,
            )
        )

    return endpoint

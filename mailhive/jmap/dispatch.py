"""Processing a request: method calls in order (RFC 8620 §3.3 to §3.7)."""

from collections.abc import Callable
from typing import Any

from attrs import define

from mailhive.errors import (
    AccountNotFound,
    CannotCalculateChanges,
    TemporaryFailure,
    UnsupportedFilter,
)
from mailhive.jmap.budget import Budget
from mailhive.jmap.context import Context
from mailhive.jmap.envelope import Invocation, Request, Response
from mailhive.jmap.errors import MethodError, RequestError
from mailhive.jmap.references import resolve_references
from mailhive.jmap.registry import Followed, Registry

__all__ = ["check_request", "process"]


def check_request(request: Request, registry: Registry, max_calls: int) -> None:
    """Refuse what no call of the request can be processed for; `RequestError`."""
    for uri in request.using:
        if uri not in registry.capabilities and uri not in registry.without_methods:
            raise RequestError(
                "unknownCapability", f"The capability {uri!r} is not supported by this server"
            )
    if len(request.method_calls) > max_calls:
        raise RequestError(
            "limit",
            f"A request may have {max_calls} method calls, this one has "
            f"{len(request.method_calls)}",
            limit="maxCallsInRequest",
        )


async def process(
    request: Request,
    registry: Registry,
    context: Context,
    on_failure: Callable[[str, Exception], None],
) -> Response:
    """The response to a request that was checked.

    Each call sees the effects of those before it.  An error of a method is the
    response to that call alone; one that is ours goes to `on_failure(method,
    exception)` and the client is told `serverFail`.
    """
    response = Response(created_ids=None if request.created_ids is None else context.created_ids)
    # What references bring in may be as large as what the client could have sent.
    budget = Budget(context.limits.request_size, "What result references bring in")
    processing = _Processing(registry, context, on_failure, response.method_responses, budget)
    for name, arguments, call_id in request.method_calls:
        await processing.answer(name, arguments, call_id, asked=True)
    return response


@define
class _Processing:
    """The calls of one request; `responses` grows."""

    registry: Registry
    context: Context
    on_failure: Callable[[str, Exception], None]
    responses: list[Invocation]
    budget: Budget

    async def answer(
        self, name: str, arguments: dict[str, Any], call_id: str, *, asked: bool
    ) -> None:
        """Make a call that the client has asked for, or one of our own, and those that follow."""
        result: dict[str, Any] | Followed
        try:
            result = await self._call(name, arguments, asked)
        except MethodError as error:
            name, result = "error", error.json()
        except AccountNotFound:  # removed while the request was under way
            name, result = "error", {"type": "accountNotFound"}
        except CannotCalculateChanges as error:
            name, result = "error", {"type": "cannotCalculateChanges", "description": str(error)}
        except UnsupportedFilter as error:
            name, result = "error", {"type": "unsupportedFilter", "description": str(error)}
        except TemporaryFailure as error:
            self.on_failure(name, error)
            name, result = "error", {"type": "serverUnavailable"}
        except Exception as error:
            self.on_failure(name, error)
            name, result = "error", {"type": "serverFail", "description": "Internal error"}
        if isinstance(result, Followed):
            self.responses.append((name, result.response, call_id))
            for implicit, its_arguments in result.calls:
                await self.answer(implicit, its_arguments, call_id, asked=False)
        else:
            self.responses.append((name, result, call_id))

    async def _call(
        self, name: str, arguments: dict[str, Any], asked: bool
    ) -> dict[str, Any] | Followed:
        capability, method = self.registry.methods.get(name, (None, None))
        if method is None or capability is None:
            raise MethodError("unknownMethod")
        if asked:
            # A method exists for those who use its capability (RFC 8620 §3.3).
            if capability.uri not in self.context.using:
                raise MethodError("unknownMethod")
            arguments = resolve_references(arguments, self.responses, self.budget)
        elsewhere = self.context.elsewhere
        if elsewhere is not None:
            worker = elsewhere.place(name, arguments, self.context.accounts)
            if worker is not None:
                result: dict[str, Any] | Followed
                result = await elsewhere.call(worker, self.context, name, arguments)
                return result
        return await method(self.context, arguments)

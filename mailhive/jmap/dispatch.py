"""Processing a request: method calls in order (RFC 8620 §3.3 to §3.7)."""

from collections.abc import Callable
from typing import Any

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
    responses = response.method_responses
    # What references bring in may be as large as what the client could have sent.
    budget = Budget(context.limits.request_size, "What result references bring in")

    async def answer(name: str, arguments: dict[str, Any], call_id: str, asked: bool) -> None:
        result: dict[str, Any] | Followed
        try:
            result = await _call(
                name, arguments, registry, context, responses if asked else None, budget
            )
        except MethodError as error:
            name, result = "error", error.json()
        except AccountNotFound:  # removed while the request was under way
            name, result = "error", {"type": "accountNotFound"}
        except CannotCalculateChanges as error:
            name, result = "error", {"type": "cannotCalculateChanges", "description": str(error)}
        except UnsupportedFilter as error:
            name, result = "error", {"type": "unsupportedFilter", "description": str(error)}
        except TemporaryFailure as error:
            on_failure(name, error)
            name, result = "error", {"type": "serverUnavailable"}
        except Exception as error:
            on_failure(name, error)
            name, result = "error", {"type": "serverFail", "description": "Internal error"}
        if isinstance(result, Followed):
            responses.append((name, result.response, call_id))
            for implicit, its_arguments in result.calls:
                await answer(implicit, its_arguments, call_id, False)
        else:
            responses.append((name, result, call_id))

    for name, arguments, call_id in request.method_calls:
        await answer(name, arguments, call_id, True)
    return response


async def _call(
    name: str,
    arguments: dict[str, Any],
    registry: Registry,
    context: Context,
    previous: list[Invocation] | None,
    budget: Budget,
) -> dict[str, Any] | Followed:
    """Make one call; `previous` are the responses it may refer to, None if it is our own."""
    capability, method = registry.methods.get(name, (None, None))
    if method is None or capability is None:
        raise MethodError("unknownMethod")
    if previous is not None:
        # A method exists for those who use its capability (RFC 8620 §3.3).
        if capability.uri not in context.using:
            raise MethodError("unknownMethod")
        arguments = resolve_references(arguments, previous, budget)
    if context.elsewhere is not None:
        worker = context.elsewhere.place(name, arguments, context.accounts)
        if worker is not None:
            result: dict[str, Any] | Followed
            result = await context.elsewhere.call(worker, context, name, arguments)
            return result
    return await method(context, arguments)

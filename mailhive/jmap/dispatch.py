"""Processing a request: method calls in order (RFC 8620 §3.3 to §3.7)."""

from collections.abc import Callable

from mailhive.errors import TemporaryFailure, UnsupportedFilter
from mailhive.jmap.context import Context
from mailhive.jmap.envelope import Invocation, Request, Response
from mailhive.jmap.errors import MethodError, RequestError
from mailhive.jmap.references import resolve_references
from mailhive.jmap.registry import Registry

__all__ = ["check_request", "process"]


def check_request(request: Request, registry: Registry, max_calls: int) -> None:
    """Refuse what no call of the request can be processed for; `RequestError`."""
    for uri in request.using:
        if uri not in registry.capabilities:
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
    for call in request.method_calls:
        response.method_responses += await _call(
            call, registry, context, response.method_responses, on_failure
        )
    return response


async def _call(
    call: Invocation,
    registry: Registry,
    context: Context,
    previous: list[Invocation],
    on_failure: Callable[[str, Exception], None],
) -> list[Invocation]:
    name, arguments, call_id = call
    try:
        capability, method = registry.methods.get(name, (None, None))
        # A method exists for those who use its capability (RFC 8620 §3.3).
        if method is None or capability is None or capability.uri not in context.using:
            raise MethodError("unknownMethod")
        result = await method(context, resolve_references(arguments, previous))
    except MethodError as error:
        return [("error", error.json(), call_id)]
    except UnsupportedFilter as error:
        return [("error", {"type": "unsupportedFilter", "description": str(error)}, call_id)]
    except TemporaryFailure as error:
        on_failure(name, error)
        return [("error", {"type": "serverUnavailable"}, call_id)]
    except Exception as error:
        on_failure(name, error)
        return [("error", {"type": "serverFail", "description": "Internal error"}, call_id)]
    if isinstance(result, dict):
        return [(name, result, call_id)]
    return [(response_name, values, call_id) for response_name, values in result]

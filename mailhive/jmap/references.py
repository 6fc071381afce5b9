"""References to the results of previous method calls (RFC 8620 §3.7).

A call can refer to one result many times, and the next call to its result, so
that a short request could ask for an answer of any size.  What references bring
in therefore counts: a `Budget` is for all calls of a request.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from mailhive.jmap.budget import Budget
from mailhive.jmap.envelope import Invocation
from mailhive.jmap.errors import MethodError

__all__ = ["resolve_references"]

_decode = msgspec.json.Decoder().decode


def resolve_references(
    arguments: dict[str, Any], responses: Sequence[Invocation], budget: Budget
) -> dict[str, Any]:
    """The arguments with every `#name` replaced by what it refers to.

    `MethodError` invalidArguments if a name is given both ways,
    invalidResultReference if a reference does not resolve, and requestTooLarge
    beyond the budget.
    """
    if not any(name.startswith("#") for name in arguments):
        return arguments
    resolved: dict[str, Any] = {}
    for name, value in arguments.items():
        if not name.startswith("#"):
            resolved[name] = value
        elif name[1:] in arguments:
            raise MethodError(
                "invalidArguments", f"Both {name[1:]!r} and its referenced form are given"
            )
        else:
            resolved[name[1:]] = found = _resolve(name, value, responses, budget)
            budget.spend_on(found)
    return resolved


def _resolve(name: str, reference: Any, responses: Sequence[Invocation], budget: Budget) -> Any:
    match reference:
        case {"resultOf": str(result_of), "name": str(response_name), "path": str(path)}:
            pass
        case _:
            raise _unresolved(name, "it is not a ResultReference object")
    # Step 1: the first response with that call id.
    response = next((r for r in responses if r[2] == result_of), None)
    if response is None:
        raise _unresolved(name, f"no previous call {result_of!r}")
    # Step 2: its name.
    if response[0] != response_name:
        raise _unresolved(name, f"call {result_of!r} answered {response[0]!r}")
    # Step 3: the path.
    if path and not path.startswith("/"):
        raise _unresolved(name, f"{path!r} is not a JSON Pointer")
    tokens = [t.replace("~1", "/").replace("~0", "~") for t in path.split("/")[1:]]
    try:
        return _evaluate(response[1], tokens, 0, budget)
    except (KeyError, IndexError, TypeError, ValueError):
        raise _unresolved(name, f"{path!r} leads nowhere") from None


def _evaluate(value: Any, tokens: list[str], index: int, budget: Budget) -> Any:
    """Follow tokens from `index` on; any lookup error means that the path fails."""
    while index < len(tokens):
        value = _decoded(value, budget)
        step = tokens[index]
        index += 1
        if isinstance(value, dict):
            value = value[step]
        elif isinstance(value, (list, tuple)):
            if step == "*":
                return _map(value, tokens, index, budget)
            # RFC 6901 §4: digits without leading zeros.
            if not step.isascii() or not step.isdigit() or (step[0] == "0" and step != "0"):
                raise ValueError(step)
            value = value[int(step)]
        else:
            raise TypeError(step)
    value = _decoded(value, budget)
    # A response may hold a JSON array as a tuple; arguments hold lists.
    return list(value) if isinstance(value, tuple) else value


def _decoded(value: Any, budget: Budget) -> Any:
    """The value of a fragment that is still JSON text."""
    if not isinstance(value, msgspec.Raw):
        return value
    budget.spend(len(value))
    return _decode(value)


def _map(items: Sequence[Any], tokens: list[str], index: int, budget: Budget) -> list[Any]:
    budget.spend(len(items) * (1 + len(tokens) - index))
    # Often these are hundreds of objects of which one property is wanted.
    if {*map(type, items)} == {msgspec.Raw}:
        items = _decoded(msgspec.Raw(b"[%b]" % b",".join(items)), budget)
    if index == len(tokens) - 1 and {*map(type, items)} == {dict}:
        found = [item[tokens[index]] for item in items]
    else:
        found = [_evaluate(item, tokens, index, budget) for item in items]
    output: list[Any] = []
    for value in found:
        result = _decoded(value, budget)
        if isinstance(result, (list, tuple)):
            output.extend(result)  # flattened, RFC 8620 §3.7
        else:
            output.append(result)
    return output


def _unresolved(name: str, reason: str) -> MethodError:
    return MethodError("invalidResultReference", f"{name}: {reason}")

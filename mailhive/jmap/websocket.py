"""The messages of the `jmap` subprotocol (RFC 8887 §4.3)."""

from typing import Any

from attrs import frozen

from mailhive.jmap.envelope import Request, as_request, encode_json
from mailhive.jmap.errors import RequestError

__all__ = [
    "Message",
    "PushDisable",
    "PushEnable",
    "encode_error",
    "encode_state_change",
    "read_message",
    "request_id",
    "response_head",
]


@frozen
class PushEnable:
    """RFC 8887 §4.3.5.2: `types` is None for all, `push_state` None for from now on."""

    types: frozenset[str] | None
    push_state: str | None


@frozen
class PushDisable:
    """RFC 8887 §4.3.5.3."""


Message = Request | PushEnable | PushDisable


def request_id(value: Any) -> str | None:
    """The client's name for a message, if it has one."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def read_message(value: Any) -> Message:
    """What a client's JSON value says; `RequestError` notRequest if that is nothing of ours."""
    match value:
        case {"@type": "Request"}:
            # RFC 8887 §4.3.2
            if not isinstance(value.get("id"), str | None):
                raise _not_understood("`id` is not a string")
            return as_request(value)
        case {"@type": "WebSocketPushEnable"}:
            types, state = value.get("dataTypes"), value.get("pushState")
            if types is not None and not (
                isinstance(types, list) and all(isinstance(name, str) for name in types)
            ):
                raise _not_understood("`dataTypes` is neither null nor an array of strings")
            if not isinstance(state, str | None):
                raise _not_understood("`pushState` is not a string")
            return PushEnable(None if types is None else frozenset(types), state)
        case {"@type": "WebSocketPushDisable"}:
            return PushDisable()
    raise _not_understood("`@type` is not Request, WebSocketPushEnable or WebSocketPushDisable")


def response_head(request_id: str | None) -> dict[str, Any]:
    """What a Response object begins with (RFC 8887 §4.3.3)."""
    head = {"@type": "Response"}
    return head if request_id is None else {**head, "requestId": request_id}


def encode_error(error: RequestError, request_id: str | None) -> bytes:
    """The text of a RequestError object (RFC 8887 §4.3.4)."""
    return encode_json({"@type": "RequestError", "requestId": request_id, **error.problem()})


def encode_state_change(changed: dict[str, dict[str, str]], push_state: str) -> bytes:
    """The text of a StateChange object (RFC 8887 §4.3.5.1)."""
    return encode_json({"@type": "StateChange", "changed": changed, "pushState": push_state})


def _not_understood(reason: str) -> RequestError:
    return RequestError("notRequest", f"The message is not understood: {reason}")

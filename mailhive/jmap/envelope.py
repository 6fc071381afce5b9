"""The Request and Response objects (RFC 8620 §3.3, §3.4), and I-JSON (RFC 7493).

msgspec decodes; what it leaves to add is the refusal of duplicate member names,
for which no JSON library has a fast answer.  The members of the text are counted
(a colon outside a string) and compared with those that the decoded value has:
fewer means that some were given twice.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from attrs import define, field, frozen

from mailhive.jmap.errors import RequestError
from mailhive.model.ids import is_id

__all__ = [
    "Invocation",
    "Request",
    "Response",
    "as_request",
    "as_text",
    "decode_i_json",
    "decode_request",
    "encode_json",
]

#: Nesting deeper than any request needs; beyond it the text is refused.
MAX_DEPTH = 200

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_decode = msgspec.json.Decoder().decode
_encoder = msgspec.json.Encoder()

#: A method name, its arguments and the client's call id (RFC 8620 §3.2).
Invocation = tuple[str, dict[str, Any], str]


@frozen
class Request:
    """A Request object whose shape was checked.  `created_ids` is None if not given."""

    using: tuple[str, ...]
    method_calls: tuple[Invocation, ...]
    created_ids: dict[str, str] | None


@define
class Response:
    """A Response object in the making."""

    method_responses: list[Invocation] = field(factory=list)
    created_ids: dict[str, str] | None = None
    session_state: str = ""

    def encode(self, head: Mapping[str, Any] = MappingProxyType({})) -> bytes:
        """The JSON text, beginning with the members of `head`.

        `createdIds` is there only when the request had it (RFC 8620 §3.4).
        """
        body: dict[str, Any] = {**head, "methodResponses": self.method_responses}
        if self.created_ids is not None:
            body["createdIds"] = self.created_ids
        body["sessionState"] = self.session_state
        return encode_json(body)


def encode_json(value: Any) -> bytes:
    """The JSON text of a value that may hold `msgspec.Raw` fragments."""
    return _encoder.encode(value)


def as_text(value: Any) -> msgspec.Raw:
    """A value as the fragment of a JSON text that it will be."""
    return msgspec.Raw(_encoder.encode(value))


def decode_request(raw: bytes) -> Request:
    """Read a Request object; `RequestError` notJSON or notRequest if it is none."""
    return as_request(decode_i_json(raw))


def decode_i_json(raw: bytes) -> Any:
    """The value of an I-JSON text (RFC 7493); `RequestError` notJSON if it is none."""
    try:
        value = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError("notJSON", f"The request is not I-JSON: {reason}") from None
    if _count_members(value) < _outside_strings(raw).count(b":"):
        raise RequestError("notJSON", "The request is not I-JSON: a member name is repeated")
    return value


def _outside_strings(raw: bytes) -> bytes:
    """What is not within the quotation marks of a JSON text."""
    if b"\\" in raw:
        raw = _ESCAPE.sub(b"", raw)
    return b"".join(raw.split(b'"')[::2])


def _count_members(value: Any) -> int:
    count = depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RequestError("notJSON", f"The request is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                count += len(item)
                below += [v for v in item.values() if type(v) is dict or type(v) is list]
            elif type(item) is list:
                below += [v for v in item if type(v) is dict or type(v) is list]
        level = below
    return count


def as_request(value: Any) -> Request:
    """A Request object (RFC 8620 §3.3) whose unknown properties are ignored; else notRequest."""
    if not isinstance(value, dict):
        raise _not_request("it is not an object")
    using = value.get("using")
    if not isinstance(using, list) or not all(isinstance(uri, str) for uri in using):
        raise _not_request("`using` is not an array of strings")
    calls = value.get("methodCalls")
    if not isinstance(calls, list):
        raise _not_request("`methodCalls` is not an array")
    created_ids = value.get("createdIds")
    if created_ids is not None and not (
        isinstance(created_ids, dict) and all(is_id(k) and is_id(v) for k, v in created_ids.items())
    ):
        raise _not_request("`createdIds` is not a map of Id to Id")
    return Request(
        tuple(using),
        tuple([_check_invocation(i, call) for i, call in enumerate(calls)]),
        created_ids,
    )


def _check_invocation(index: int, call: Any) -> Invocation:
    # RFC 8620 §3.2
    if isinstance(call, list) and len(call) == 3:
        name, arguments, call_id = call
        if isinstance(name, str) and isinstance(arguments, dict) and isinstance(call_id, str):
            return name, arguments, call_id
    raise _not_request(f"methodCalls[{index}] is not [name, arguments object, call id]")


def _not_request(reason: str) -> RequestError:
    return RequestError("notRequest", f"This is not a JMAP Request object: {reason}")

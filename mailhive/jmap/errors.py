"""Errors as values with a wire name (RFC 8620 §3.6).

`RequestError` refuses a whole request with an HTTP status, `MethodError` one
method call, `SetError` one object of a `/set`.  All three are somebody else's
mistake; any other exception that reaches the dispatcher is ours.
"""

from collections.abc import Mapping
from typing import Any

from mailhive.errors import MailhiveError

__all__ = ["MethodError", "RequestError", "SetError"]

_URN = "urn:ietf:params:jmap:error:"


class RequestError(MailhiveError):
    """A request-level error: problem details (RFC 7807) and their HTTP status.

    `kind` is the last part of the URN of RFC 8620 §3.6.1 (notJSON, notRequest,
    unknownCapability, limit), or None for a plain HTTP error.
    """

    def __init__(
        self, kind: str | None, detail: str, *, status: int = 400, limit: str | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.limit = limit

    def problem(self) -> dict[str, Any]:
        """The problem details object."""
        details: dict[str, Any] = {
            "type": _URN + self.kind if self.kind else "about:blank",
            "status": self.status,
            "detail": self.detail,
        }
        if self.limit is not None:
            details["limit"] = self.limit
        return details


class _TypedError(MailhiveError):
    def __init__(self, type: str, description: str | None = None, **extra: Any) -> None:
        super().__init__(description or type)
        self.type = type
        self.description = description
        self.extra: Mapping[str, Any] = extra

    def json(self) -> dict[str, Any]:
        """The error object as it goes on the wire."""
        result: dict[str, Any] = {"type": self.type}
        if self.description is not None:
            result["description"] = self.description
        return result | dict(self.extra)


class MethodError(_TypedError):
    """A method-level error (RFC 8620 §3.6.2): the call's response is `["error", …]`."""


class SetError(_TypedError):
    """Why one object was not created, updated or destroyed (RFC 8620 §5.3)."""


def invalid_arguments(description: str) -> MethodError:
    """`invalidArguments` with what was wrong."""
    return MethodError("invalidArguments", description)


def invalid_properties(properties: list[str], description: str | None = None) -> SetError:
    """`invalidProperties` naming the properties at fault, or the paths of what is in them.

    A description is for what these names do not tell.
    """
    return SetError("invalidProperties", description, properties=properties)

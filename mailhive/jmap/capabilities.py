"""Capabilities (RFC 8620 §2): what the session object says of each."""

from collections.abc import Callable
from typing import Any

from attrs import frozen

from mailhive.jmap.context import Account
from mailhive.jmap.limits import Limits

__all__ = ["TICKET", "VAPID", "WEBSOCKET", "WITHOUT_METHODS", "Capability"]

#: RFC 8887 §3
WEBSOCKET = "urn:ietf:params:jmap:websocket"
#: Ours: docs/tickets.md
TICKET = "urn:uuid:accc534d-23b3-4935-be2a-985ad5bf4570"
#: RFC 9749 §3
VAPID = "urn:ietf:params:jmap:webpush-vapid"
#: Capabilities of the server as a whole, which have no methods and nothing for an account.
WITHOUT_METHODS = frozenset({WEBSOCKET, TICKET, VAPID})


def _nothing(limits: Limits, account: Account | None = None) -> dict[str, Any]:
    return {}


@frozen
class Capability:
    """A capability URI, its object in `capabilities` and the one of each account."""

    uri: str
    session: Callable[[Limits], dict[str, Any]] = _nothing
    account: Callable[[Limits, Account], dict[str, Any]] = _nothing

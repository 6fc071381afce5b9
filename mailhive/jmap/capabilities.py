"""Capabilities (RFC 8620 §2): what the session object says of each."""

from collections.abc import Callable
from typing import Any

from attrs import frozen

from mailhive.jmap.context import Account
from mailhive.jmap.limits import Limits

__all__ = ["Capability"]


def _nothing(limits: Limits, account: Account | None = None) -> dict[str, Any]:
    return {}


@frozen
class Capability:
    """A capability URI, its object in `capabilities` and the one of each account."""

    uri: str
    session: Callable[[Limits], dict[str, Any]] = _nothing
    account: Callable[[Limits, Account], dict[str, Any]] = _nothing

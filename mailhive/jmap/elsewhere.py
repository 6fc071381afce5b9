"""Method calls that another process of the server makes.

What changes an account is done by its owner, what there is once by the office
(docs/adr/0024-workers.md).  The whole call goes there, with all that a method may
know of its request, and its response comes back.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mailhive.jmap.context import Account, Context
from mailhive.jmap.registry import Followed, Registry

__all__ = ["Elsewhere"]

#: The methods that change nothing, of any type (RFC 8620 §4, §5, RFC 8621 §4.9).
_READS = frozenset({"echo", "get", "changes", "query", "queryChanges", "parse"})


@frozen
class Elsewhere:
    """Where calls are made, among `peers` (`IPeers`)."""

    peers: Any
    registry: Registry

    def place(
        self, name: str, arguments: Mapping[str, Any], accounts: Mapping[str, Account]
    ) -> int | None:
        """The worker that makes a call of a method; None for this one."""
        type_name, _, verb = name.partition("/")
        if self.registry.datatypes[type_name].kept_once:
            worker = 0
        elif verb in _READS:
            return None
        else:
            account_id = arguments.get("accountId")
            if not isinstance(account_id, str) or account_id not in accounts:
                return None  # the method says what is wrong with it
            worker = self.peers.owner(account_id)
        return None if worker == self.peers.index else worker

    def is_here(self, account_id: str) -> bool:
        """Are the calls made here that change this account?"""
        here: bool = self.peers.owner(account_id) == self.peers.index
        return here

    async def call(
        self, worker: int, context: Context, name: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | Followed:
        """Have a worker make a call; raises whatever the method raises there."""
        result: dict[str, Any] | Followed
        result, created_ids = await self.peers.call(
            worker,
            "jmap.call",
            context.principal,
            dict(context.accounts),
            context.using,
            context.created_ids,
            name,
            arguments,
        )
        context.created_ids.update(created_ids)
        return result

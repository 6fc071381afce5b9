"""`Foo/changes` (RFC 8620 §5.2)."""

from collections.abc import Callable
from typing import Any

from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments, parse_state
from mailhive.jmap.checks import is_string, is_unsigned, nullable
from mailhive.jmap.context import Context
from mailhive.jmap.errors import invalid_arguments
from mailhive.jmap.registry import Method
from mailhive.model.changes import Changes

__all__ = ["changes_method"]

CHANGES_ARGUMENTS = {
    "sinceState": Argument(is_string, REQUIRED),
    "maxChanges": Argument(nullable(is_unsigned)),
}


def _nothing_more(changes: Changes) -> dict[str, Any]:
    return {}


def changes_method(name: str, extra: Callable[[Changes], dict[str, Any]] = _nothing_more) -> Method:
    """The changes method of a type; `extra` adds response arguments of the type's own."""

    async def changes(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        account = context.account(arguments)
        values = check_arguments(arguments, CHANGES_ARGUMENTS)
        limit = values["maxChanges"]
        if limit == 0:
            raise invalid_arguments("maxChanges must be greater than 0")
        since = parse_state(values["sinceState"])
        found = await context.store.read(
            account.id, lambda reader: reader.changes(name, since, limit)
        )
        return {
            "accountId": account.id,
            "oldState": values["sinceState"],
            "newState": str(found.new_state),
            "hasMoreChanges": found.has_more,
            "created": list(found.created),
            "updated": list(found.updated),
            "destroyed": list(found.destroyed),
        } | extra(found)

    return changes

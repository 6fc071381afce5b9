"""PushSubscription/get (RFC 8620 §7.2.1)."""

from typing import Any

from mailhive.jmap.arguments import check_arguments
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.standard.get import GET_ARGUMENTS, checked_ids, checked_properties
from mailhive.jmap.types.push_subscription.properties import PROPERTIES, SHOWN, view

__all__ = ["get"]


async def get(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    """The standard method, but of no account and without a state."""
    values = check_arguments(arguments, GET_ARGUMENTS)
    ids = checked_ids(values["ids"], context.limits.get)
    wanted = values["properties"]
    checked_properties(wanted, PROPERTIES)
    if not set(wanted or ()) <= set(SHOWN):
        raise MethodError("forbidden", "url and keys are not returned")
    properties = checked_properties(wanted, SHOWN)
    found = await context.push.edit(context.principal, lambda editor: editor.subscriptions())
    if ids is None and len(found) > context.limits.get:
        raise MethodError("requestTooLarge", f"There are more than {context.limits.get}")
    chosen = found if ids is None else [i for i in ids if i in found]
    return {
        "list": [{name: view(found[i])[name] for name in properties} for i in chosen],
        "notFound": [i for i in ids or () if i not in found],
    }

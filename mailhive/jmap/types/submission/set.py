"""EmailSubmission/set (RFC 8621 §7.5).

What the records of the account say decides whether a message goes.  A message is
first given to the outbox as held; the set is made, as for any type; then, with the
records durable, messages are let go or taken back.  Canceling is the same from the
second step on, with a message that the outbox has already.  If the daemon ends in
between, the outbox goes by the records (`IOutbox`, Holding).
"""

from typing import Any

from mailhive.jmap.arguments import Argument
from mailhive.jmap.checks import is_reference, list_of, map_of, nullable
from mailhive.jmap.context import Context
from mailhive.jmap.registry import Followed
from mailhive.jmap.standard.set import set_method
from mailhive.jmap.types.submission.properties import PROPERTIES
from mailhive.jmap.types.submission.sending import Sending

__all__ = ["set_"]


def _is_patch(value: Any) -> bool:
    return isinstance(value, dict)


EXTRA = {
    "onSuccessUpdateEmail": Argument(nullable(map_of(is_reference, _is_patch))),
    "onSuccessDestroyEmail": Argument(nullable(list_of(is_reference))),
}


async def set_(context: Context, arguments: dict[str, Any]) -> dict[str, Any] | Followed:
    sending = Sending(context, arguments)
    method = set_method(
        "EmailSubmission", PROPERTIES, sending.setter, extra=EXTRA, prepare=sending.prepare
    )
    try:
        response = await method(context, arguments)
    except BaseException:
        await sending.give_up()
        raise
    assert isinstance(response, dict)
    await sending.finish()
    implicit = _implicit_set(arguments, sending.emails, context.created_ids)
    return Followed(response, (("Email/set", implicit),)) if implicit else response


def _implicit_set(
    arguments: dict[str, Any], emails: dict[str, str], created_ids: dict[str, str]
) -> dict[str, Any] | None:
    """The arguments of the Email/set to be made, None if nothing was asked of it.

    `emails` has the Email of each submission that was created, updated or destroyed.
    """

    def email_of(key: str) -> str | None:
        return emails.get(created_ids.get(key[1:], "") if key.startswith("#") else key)

    update: dict[str, Any] = {}
    for key, patch in (arguments.get("onSuccessUpdateEmail") or {}).items():
        if (email_id := email_of(key)) is not None:
            update[email_id] = {**update.get(email_id, {}), **patch}
    wanted = map(email_of, arguments.get("onSuccessDestroyEmail") or ())
    destroy = list(dict.fromkeys(email_id for email_id in wanted if email_id is not None))
    if not update and not destroy:
        return None
    return {"accountId": arguments["accountId"], "update": update, "destroy": destroy}

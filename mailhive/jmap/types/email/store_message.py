"""From the octets of a message to an Email ready to be filed."""

from collections.abc import Collection, Mapping
from typing import Any

from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import SetError
from mailhive.jmap.limits import Limits
from mailhive.jmap.types.email.keywords import checked_keywords, checked_mailboxes
from mailhive.mail.analyse import analyse
from mailhive.mail.quota import OverQuota, add_within_quota
from mailhive.model.email import NewEmail

__all__ = ["analysed", "check_size", "filed", "received_now", "stored"]


async def stored(context: Context, raw: bytes) -> str:
    """The id of a durable blob of these octets."""
    writer = context.blobs.blob_store.open_writer()
    try:
        writer.write(raw)
    except BaseException:
        writer.abort()
        raise
    blob_id: str = await writer.commit()
    return blob_id


def received_now(context: Context) -> int:
    """Now as `receivedAt`: in whole seconds, as the internal date is (RFC 8621 §4.1.1)."""
    return context.now() // 1000 * 1000


async def analysed(context: Context, raw: bytes, blob_id: str, received_at: int) -> NewEmail:
    """What the store keeps of a message; SetError tooLarge beyond the size allowed."""
    check_size(context, len(raw))
    email: Any = await context.offload(analyse, raw, blob_id, received_at, context.charsets)
    assert isinstance(email, NewEmail)
    return email


def check_size(context: Context, size: int) -> None:
    """SetError tooLarge for a message beyond the size allowed."""
    limit = context.limits.email_size
    if limit is not None and size > limit:
        raise SetError("tooLarge", f"Messages may have {limit} octets", maxSize=limit)


def filed(
    writer: Any,
    account: Account,
    limits: Limits,
    mailboxes: Collection[str],
    data: Mapping[str, Any],
    email: NewEmail,
) -> dict[str, Any]:
    """File an Email as `mailboxIds` and `keywords` of `data` say.

    Returns the properties a creation answers with (RFC 8621 §4.6); `mailboxes`
    are the ids that exist.  SetError when it cannot be filed so.
    """
    try:
        email_id, thread_id = add_within_quota(
            writer,
            email,
            checked_mailboxes(data["mailboxIds"], mailboxes, limits),
            checked_keywords(data.get("keywords", {})),
            account.owner.quota,
        )
    except OverQuota as error:
        raise SetError("overQuota", str(error)) from None
    return {
        "id": email_id,
        "blobId": email.blob_id,
        "threadId": thread_id,
        "size": email.size,
    }

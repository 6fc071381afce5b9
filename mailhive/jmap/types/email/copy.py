"""Email/copy (RFC 8621 §4.7)."""

from collections.abc import Mapping
from typing import Any

from mailhive.errors import BlobNotFound
from mailhive.jmap.checks import is_utc_date
from mailhive.jmap.context import Context
from mailhive.jmap.errors import SetError
from mailhive.jmap.registry import Property
from mailhive.jmap.standard.copy import Original
from mailhive.jmap.types.email.keywords import is_keywords, is_mailbox_ids
from mailhive.jmap.types.email.store_message import analysed
from mailhive.model.email import NewEmail
from mailhive.model.utcdate import format_utc_date, parse_utc_date

__all__ = ["PROPERTIES", "originals", "prepare"]

#: What can be given to the copy.
PROPERTIES = {
    "mailboxIds": Property(is_mailbox_ids, refers_to="Mailbox"),
    "keywords": Property(is_keywords),
    "receivedAt": Property(is_utc_date),
}


def originals(reader: Any, ids: list[str]) -> Mapping[str, Original]:
    """The Emails to be copied, each with the id of its message.

    Without their mailboxes, whose ids mean nothing in another account: those of
    the copy have to be given.
    """
    return {
        row.id: Original(
            {
                "keywords": dict.fromkeys(row.keywords, True),
                "receivedAt": format_utc_date(row.received_at),
            },
            row.blob_id,
        )
        for row in reader.emails(ids).values()
    }


async def prepare(context: Context, original: Original, data: Mapping[str, Any]) -> NewEmail:
    """The message of the original, ready to be filed; both accounts refer to one blob."""
    blobs = context.blobs.blob_store
    try:
        await blobs.touch(original.source)
        raw = await blobs.read(original.source)
    except BlobNotFound:  # destroyed since it was read
        raise SetError("notFound", "There is no such original") from None
    return await analysed(context, raw, original.source, parse_utc_date(data["receivedAt"]))

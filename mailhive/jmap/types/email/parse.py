"""Email/parse (RFC 8621 §4.9)."""

from collections.abc import Sequence
from typing import Any

from mailhive.errors import BlobNotFound
from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments
from mailhive.jmap.checks import is_id, is_string, list_of, nullable
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError
from mailhive.jmap.types.email.get import BODY_ARGUMENTS, body_options, checked_email_properties
from mailhive.jmap.types.email.properties import SUMMARY
from mailhive.jmap.types.email.view import BodyOptions, message_object, weight
from mailhive.mime.view import EmailView

__all__ = ["parse"]

ARGUMENTS = BODY_ARGUMENTS | {
    "blobIds": Argument(list_of(is_id), REQUIRED),
    "properties": Argument(nullable(list_of(is_string))),
}
#: What is returned when `properties` is omitted.
DEFAULT_PROPERTIES = (*SUMMARY, "bodyValues", "textBody", "htmlBody", "attachments")

#: Octets of a message that is parsed on the reactor thread.
_SMALL = 32_768
#: Octets of all messages together that one call parses.
_MOST = 200_000_000


async def parse(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    values = check_arguments(arguments, ARGUMENTS)
    properties = checked_email_properties(values["properties"], DEFAULT_PROPERTIES, always=())
    options = body_options(values)
    blob_ids = dict.fromkeys(values["blobIds"])
    limit = context.limits.email_get_full
    if len(blob_ids) > limit:
        raise MethodError("requestTooLarge", f"At most {limit} blobs can be parsed")
    parsed: dict[str, dict[str, Any]] = {}
    not_parsable: list[str] = []
    not_found: list[str] = []
    total = 0
    for blob_id in blob_ids:
        try:
            blob = await context.blobs.open(account.id, account.user, blob_id)
        except BlobNotFound:
            not_found.append(blob_id)
            continue
        total += blob.size
        if total > _MOST:
            raise MethodError("requestTooLarge", f"Messages of more than {_MOST} octets")
        raw = await blob.read()
        if blob.size > _SMALL:
            email = await context.offload(_parse, context, raw, blob_id, properties, options)
        else:
            email = _parse(context, raw, blob_id, properties, options)
        if email is None:
            not_parsable.append(blob_id)
        else:
            parsed[blob_id] = email
    return {
        "accountId": account.id,
        "parsed": parsed or None,
        "notParsable": not_parsable or None,
        "notFound": not_found or None,
    }


def _parse(
    context: Context, raw: bytes, blob_id: str, properties: Sequence[str], options: BodyOptions
) -> dict[str, Any] | None:
    """The Email that a blob is, None if it has no header field."""
    view = EmailView.scanned(raw, blob_id, context.charsets)
    if not view.root.fields:
        return None
    context.emails.spend(weight(view, properties, options))
    email = message_object(view, raw, properties, options)
    context.emails.spend_on(email)
    return email

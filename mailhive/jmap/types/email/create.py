"""Email/set create: from an Email object to a stored message (RFC 8621 §4.6)."""

from collections.abc import Mapping
from typing import Any

from mailhive.errors import BlobNotFound
from mailhive.jmap.checks import is_utc_date
from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.types.email.draft import Draft, DraftPart, parse_draft
from mailhive.jmap.types.email.keywords import is_keywords, is_mailbox_ids
from mailhive.jmap.types.email.store_message import analysed, received_now, stored
from mailhive.mail.blobs import Blob
from mailhive.mime.build import BuildPart, FieldError, build, encode_text
from mailhive.model.email import NewEmail
from mailhive.model.utcdate import parse_utc_date

__all__ = ["prepare"]


async def prepare(
    context: Context, account: Account, create: Mapping[str, Any]
) -> dict[str, NewEmail | SetError]:
    """Make and store the message of each creation, or say why it cannot be made."""
    prepared: dict[str, NewEmail | SetError] = {}
    for creation_id, data in create.items():
        try:
            prepared[creation_id] = await _prepare(context, account, data)
        except SetError as error:
            prepared[creation_id] = error
    return prepared


async def _prepare(context: Context, account: Account, data: Any) -> NewEmail:
    if not isinstance(data, dict):
        raise invalid_properties([], "Not an object")
    wrong = [
        name
        for name, check in (
            ("mailboxIds", lambda v: is_mailbox_ids(v) and v),
            ("keywords", is_keywords),
            ("receivedAt", is_utc_date),
        )
        if (name in data or name == "mailboxIds") and not check(data.get(name))
    ]
    if wrong:
        raise invalid_properties(wrong)
    draft = parse_draft(data)
    # One bodyValue can be the text of many parts, which no client means.
    limit = context.limits.request_size
    if sum(len(part.text) for part in draft.body.leaves() if part.text is not None) > limit:
        raise SetError("tooLarge", f"Texts may have {limit} octets", maxSize=limit)
    blobs = await _open_blobs(context, account, draft)
    contents = {blob_id: await _read(blob) for blob_id, blob in blobs.items()}
    raw = await context.offload(_message, draft, contents, context.hostname, context.now())
    most = context.limits.email_size
    if most is not None and len(raw) > most:
        raise SetError("tooLarge", f"Messages may have {most} octets", maxSize=most)
    blob_id = await stored(context, raw)
    received_at = data.get("receivedAt")
    when = received_now(context) if received_at is None else parse_utc_date(received_at)
    return await analysed(context, raw, blob_id, when)


async def _open_blobs(context: Context, account: Account, draft: Draft) -> dict[str, Blob]:
    blobs: dict[str, Blob] = {}
    missing: list[str] = []
    total = 0
    for part in draft.body.leaves():
        blob_id = part.blob_id
        if blob_id is None:
            continue
        if blob_id not in blobs and blob_id not in missing:
            try:
                blobs[blob_id] = await context.blobs.open(account.id, account.user, blob_id)
            except BlobNotFound:
                missing.append(blob_id)
                continue
        if blob_id in blobs:
            total += blobs[blob_id].size
    if missing:
        raise SetError("blobNotFound", notFound=missing)
    limit = context.limits.email_attachments_size
    if total > limit:
        raise SetError("tooLarge", f"Attachments may have {limit} octets", maxSize=limit)
    return blobs


async def _read(blob: Blob) -> bytes:
    try:
        return await blob.read()
    except BlobNotFound:  # what referred to it was destroyed since it was opened
        raise SetError("blobNotFound", notFound=[blob.id]) from None


def _message(draft: Draft, contents: Mapping[str, bytes], hostname: str, now: int) -> bytes:
    try:
        return build(draft.headers, _part(draft.body, contents), host=hostname, now=now)
    except FieldError as error:
        raise SetError("invalidProperties", str(error)) from None


def _part(part: DraftPart, contents: Mapping[str, bytes]) -> BuildPart:
    """The part as the message builder takes it."""
    charset, content = part.charset, b""
    if part.text is not None:
        content = encode_text(part.text)
        if part.type.startswith("text/"):  # RFC 2046 §4.1.2: the smallest set that will do
            charset = "us-ascii" if content.isascii() else "utf-8"
    elif part.blob_id is not None:
        content = contents[part.blob_id]
    subs = part.sub_parts
    return BuildPart(
        part.type,
        content,
        None if subs is None else tuple(_part(sub, contents) for sub in subs),
        charset=charset,
        name=part.name,
        disposition=part.disposition,
        cid=part.cid,
        language=part.language,
        location=part.location,
        headers=part.headers,
    )

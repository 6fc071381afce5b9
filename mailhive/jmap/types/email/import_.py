"""Email/import (RFC 8621 §4.8)."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from mailhive.errors import BlobNotFound
from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments
from mailhive.jmap.checks import is_id, is_string, is_utc_date, map_of, nullable
from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import MethodError, SetError, invalid_properties
from mailhive.jmap.registry import Property
from mailhive.jmap.standard.creation_ids import resolve_object
from mailhive.jmap.standard.validate import validate_create
from mailhive.jmap.types.email.keywords import is_keywords, is_mailbox_ids
from mailhive.jmap.types.email.store_message import (
    analysed,
    check_size,
    filed,
    received_now,
    stored,
)
from mailhive.mail.received import last_received_at
from mailhive.mime.fields import parse_fields
from mailhive.model.email import NewEmail
from mailhive.model.utcdate import parse_utc_date

__all__ = ["import_"]

ARGUMENTS = {
    "ifInState": Argument(nullable(is_string)),
    "emails": Argument(map_of(is_id, lambda v: isinstance(v, dict)), REQUIRED),
}
#: The EmailImport object.
PROPERTIES = {
    "blobId": Property(is_id),
    "mailboxIds": Property(is_mailbox_ids, refers_to="Mailbox"),
    "keywords": Property(is_keywords, {}),
    "receivedAt": Property(nullable(is_utc_date), None),
}


async def import_(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    values = check_arguments(arguments, ARGUMENTS)
    if len(values["emails"]) > context.limits.set:
        raise MethodError("requestTooLarge", f"At most {context.limits.set} objects can be set")
    if account.is_read_only:
        raise MethodError("accountReadOnly")
    wanted: dict[str, dict[str, Any]] = {}
    prepared: dict[str, tuple[dict[str, Any], NewEmail]] = {}
    not_created: dict[str, Any] = {}
    for creation_id, data in values["emails"].items():
        try:
            resolved = resolve_object(data, PROPERTIES, context.created_ids)
            wanted[creation_id], _ = validate_create(resolved, PROPERTIES)
        except SetError as error:
            not_created[creation_id] = error.json()
    kept = await context.blobs.keep_all(
        account.id, account.user, (whole["blobId"] for whole in wanted.values())
    )
    found = await context.analyses.take_all(kept, received_now(context))
    for creation_id, whole in wanted.items():
        try:
            prepared[creation_id] = whole, await _prepare(context, account, whole, found)
        except SetError as error:
            not_created[creation_id] = error.json()

    def work(writer: Any) -> tuple[int, int, dict[str, Any]]:
        old_state = writer.state("Email")
        if values["ifInState"] not in (None, str(old_state)):
            raise MethodError("stateMismatch", f"The state is {old_state}")
        mailboxes = frozenset(writer.mailbox_counts())
        created = {}
        for creation_id, (data, email) in prepared.items():
            try:
                created[creation_id] = filed(
                    writer, account, context.limits, mailboxes, data, email
                )
            except SetError as error:
                not_created[creation_id] = error.json()
        return old_state, writer.state("Email"), created

    old_state, new_state, created = await context.store.write(account.id, work)
    context.created_ids.update({c: made["id"] for c, made in created.items()})
    return {
        "accountId": account.id,
        "oldState": str(old_state),
        "newState": str(new_state),
        "created": created or None,
        "notCreated": not_created or None,
    }


async def _prepare(
    context: Context, account: Account, data: Mapping[str, Any], found: Mapping[str, NewEmail]
) -> NewEmail:
    email = found.get(data["blobId"])
    if email is None:  # a part of another message becomes one by itself
        try:
            raw = await context.blobs.read(account.id, account.user, data["blobId"])
        except BlobNotFound:
            raise invalid_properties(["blobId"]) from None
        email = await analysed(context, raw, await stored(context, raw), received_now(context))
    check_size(context, email.size)
    if not parse_fields(email.headers):
        raise SetError("invalidEmail", "The blob has no header fields")
    if data["receivedAt"] is not None:
        return evolve(email, received_at=parse_utc_date(data["receivedAt"]))
    return evolve(email, received_at=last_received_at(email.headers) or email.received_at)

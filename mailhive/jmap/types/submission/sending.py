"""Messages between an EmailSubmission/set and the outbox."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import SetError, invalid_properties
from mailhive.jmap.standard.creation_ids import resolve_object
from mailhive.jmap.standard.set import SetCall, Setter
from mailhive.jmap.standard.validate import validate_create, validate_update
from mailhive.jmap.types.email.store_message import stored
from mailhive.jmap.types.email.view import view_of
from mailhive.jmap.types.submission.envelope import (
    check_authority,
    check_email,
    check_recipients,
    make_envelope,
    route_of,
)
from mailhive.jmap.types.submission.get import fetch
from mailhive.jmap.types.submission.parameters import Hold
from mailhive.jmap.types.submission.properties import PROPERTIES, UPDATABLE
from mailhive.jmap.types.submission.records import SUBMISSION, progress
from mailhive.mime.compose import format_date_time
from mailhive.mime.outgoing import outgoing
from mailhive.model.email import EmailRow
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.model.utcdate import format_utc_date

__all__ = ["Sending"]

_CANCELED = "554 5.0.0 Canceled by the sender"


@frozen
class _Accepted:
    """A message that the outbox holds, and what the EmailSubmission is going to say."""

    id: str
    record: dict[str, Any]
    key: str  # the Message-ID


class Sending:
    """The messages of one call."""

    def __init__(self, context: Context, arguments: Mapping[str, Any]) -> None:
        self._context = context
        self._arguments = arguments
        self._outbox = context.outbox
        #: Messages that the outbox holds for this call, and what to do with each.
        self._held: dict[str, Any] = {}
        #: The Email of each submission that was created, updated or destroyed.
        self.emails: dict[str, str] = {}

    async def prepare(
        self, context: Context, account: Account, create: Mapping[str, Any]
    ) -> Mapping[str, _Accepted | SetError]:
        """Have the outbox hold what may be sent, and what may be canceled."""
        prepared: dict[str, _Accepted | SetError] = {}
        for creation_id, data in create.items():
            try:
                prepared[creation_id] = await self._accept(account, data)
            except SetError as error:
                prepared[creation_id] = error
        for submission_id in await self._pending(account):
            if await self._outbox.hold(submission_id):
                self._held[submission_id] = self._outbox.release
        return prepared

    def setter(self, call: SetCall) -> "_Setter":
        return _Setter(call, self)

    def created(self, submission_id: str) -> None:
        """Its message is to go."""
        self._held[submission_id] = self._outbox.release

    def cancel(self, submission_id: str) -> bool:
        """Its message is not to go; False if that can be helped no more."""
        if submission_id not in self._held:
            return False
        self._held[submission_id] = self._outbox.cancel
        return True

    async def finish(self) -> None:
        """The records are durable: do with the messages what they say."""
        for message_id, end_hold in self._held.items():
            await end_hold(message_id)

    async def give_up(self) -> None:
        """The call failed: whatever came of the records is valid."""
        for message_id in self._held:
            await self._outbox.settle(message_id)

    async def _pending(self, account: Account) -> list[str]:
        """The submissions of the account that are to be canceled and have not been sent."""
        ids = self._context.created_ids
        wanted = [
            ids.get(key[1:], "") if key.startswith("#") else key
            for key, patch in (self._arguments.get("update") or {}).items()
            if isinstance(patch, dict) and patch.get("undoStatus") == "canceled"
        ]
        if not wanted:
            return []
        records = await self._context.store.read(
            account.id, lambda reader: reader.records(SUBMISSION, wanted)
        )
        return [i for i, record in records.items() if record.data["undoStatus"] == "pending"]

    async def _accept(self, account: Account, data: Any) -> _Accepted:
        context = self._context
        if not isinstance(data, dict):
            raise invalid_properties([], "Not an object")
        given, _ = validate_create(
            resolve_object(data, PROPERTIES, context.created_ids), PROPERTIES
        )
        email_id, identity_id = given["emailId"], given["identityId"]

        def read(reader: Any) -> tuple[EmailRow | None, Any]:
            emails = reader.emails([email_id], full=True)
            return emails.get(email_id), reader.records("Identity", [identity_id])

        row, identities = await context.store.read(account.id, read)
        if row is None or not identities:
            wrong = [*(["emailId"] if row is None else ()), *([] if identities else ["identityId"])]
            raise invalid_properties(wrong, "There is no such object")
        limit = context.limits.email_size
        if limit is not None and row.size > limit:
            raise SetError("tooLarge", f"Messages may have {limit} octets", maxSize=limit)
        email, identity = view_of(row), identities[identity_id].data["email"]
        check_email(email)
        envelope = make_envelope(given["envelope"], email, identity)
        now = context.now()
        route, send_at = route_of(envelope, Hold(now, context.limits.delayed_send * 1000))
        await check_recipients(context, route)
        await check_authority(context, account, route, email, identity)

        if why := context.sending.take(context.principal.name, len(route.recipients)):
            raise SetError("rateLimit", why)  # RFC 8620 §5.3

        message_id = random_id("S")
        # RFC 8621 §7: reports name the submission then, unless the client wants its own.
        route = evolve(route, parameters={"ENVID": message_id, **route.parameters})
        blob_id = await self._store(row, message_id, now)
        message = OutboundMessage(message_id, route, blob_id, now, account.id, send_at)
        await self._outbox.submit(message, held=True)
        self._held[message_id] = self._outbox.cancel  # unless its record is made
        record = {
            "identityId": identity_id,
            "emailId": email_id,
            "threadId": row.thread_id,
            "envelope": envelope,
            "sendAt": format_utc_date(send_at or now // 1000 * 1000),
            **progress(await self._outbox.status(message_id)),
            "dsnBlobIds": [],
            "mdnBlobIds": [],
        }
        own_ids = email["messageId"]
        return _Accepted(message_id, record, own_ids[0] if own_ids else self._name(message_id))

    def _name(self, message_id: str) -> str:
        """The Message-ID of a message that came without."""
        return f"{message_id}@{self._context.hostname}"

    async def _store(self, row: EmailRow, message_id: str, now: int) -> str:
        """The blob of the message as it goes out."""
        context = self._context
        raw = await context.blobs.blob_store.read(row.blob_id)
        host, date = context.hostname, format_date_time(now)
        fields = (
            f"Received: by {host} with HTTP id {message_id};\r\n\t{date}\r\n",
            f"Date: {date}\r\n",
            f"Message-ID: <{self._name(message_id)}>\r\n",
        )
        sent = await context.offload(outgoing, raw, *(field.encode() for field in fields))
        return await stored(context, sent)


class _Setter(Setter):
    """Changes EmailSubmissions one at a time."""

    def __init__(self, call: SetCall, sending: Sending) -> None:
        self._call = call
        self._writer = call.writer
        self._sending = sending

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        accepted = self._call.prepared[creation_id]
        if isinstance(accepted, SetError):
            raise accepted
        record = accepted.record
        self._writer.create_record(SUBMISSION, record, accepted.id, (accepted.key,))
        self._sending.created(accepted.id)
        self._sending.emails[accepted.id] = record["emailId"]
        return accepted.id, {n: value for n, value in record.items() if data.get(n) != value}

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        current = self._view(object_id)
        patched = validate_update(current, patch, UPDATABLE)
        changed = None
        if patched["undoStatus"] != current["undoStatus"]:
            changed = self._cancel(current, patched["undoStatus"])
        self._sending.emails[object_id] = current["emailId"]
        return changed

    def destroy(self, object_id: str) -> None:
        self._sending.emails[object_id] = self._view(object_id)["emailId"]
        self._writer.destroy_record(SUBMISSION, object_id)

    def _cancel(self, current: dict[str, Any], status: str) -> dict[str, Any]:
        """Cancel a submission; what else of it changes."""
        if status != "canceled":
            raise invalid_properties(["undoStatus"], "A submission can only be canceled")
        if not self._sending.cancel(current["id"]):
            raise SetError("cannotUnsend", "The message is on its way already")
        nobody = {"smtpReply": _CANCELED, "delivered": "no"}
        delivery = {a: {**s, **nobody} for a, s in current["deliveryStatus"].items()}
        record = self._writer.records(SUBMISSION, [current["id"]])[current["id"]].data
        changed = {**record, "undoStatus": status, "deliveryStatus": delivery}
        self._writer.update_record(SUBMISSION, current["id"], changed)
        return {"deliveryStatus": delivery}

    def _view(self, submission_id: str) -> dict[str, Any]:
        found = fetch(self._writer, self._call.account, [submission_id], tuple(PROPERTIES))
        if submission_id not in found:
            raise SetError("notFound")
        return found[submission_id]

"""The records of EmailSubmissions: what the outbox tells of them and asks them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from attrs import frozen
from zope.interface import implementer

from mailhive.errors import NotFound
from mailhive.interfaces.outbox import IReportedSubmissions, ISubmissions
from mailhive.jmap.types.submission.reported import (
    SUBMISSION,
    as_reported,
    note_delivery,
    note_display,
)
from mailhive.mime.report import DeliveryReport, DispositionReport
from mailhive.model.outbound import OutboundStatus

__all__ = ["SUBMISSION", "Submissions", "progress"]


@implementer(ISubmissions, IReportedSubmissions)
@frozen
class Submissions:
    """Those of every account of a mail store.

    One that was destroyed, or whose account was, is told nothing; its message goes
    on (RFC 8621 §7.5).
    """

    store: Any  # IMailStore

    async def tell(self, status: OutboundStatus) -> None:
        with suppress(NotFound):
            await self.store.write(status.message.account_id, _note, status)

    async def is_wanted(self, status: OutboundStatus) -> bool:
        message, record = status.message, None
        with suppress(NotFound):
            record = await self.store.read(message.account_id, _record, message.id)
        if record is None:
            return not status.is_new
        return bool(record.data["undoStatus"] != "canceled")

    async def delivered(self, account_id: str, report: DeliveryReport, blob_id: str) -> None:
        with suppress(NotFound):
            await self.store.write(account_id, note_delivery, report, blob_id)

    async def displayed(self, account_id: str, report: DispositionReport, blob_id: str) -> None:
        with suppress(NotFound):
            await self.store.write(account_id, note_display, report, blob_id)


def progress(
    status: OutboundStatus, reported: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """undoStatus and deliveryStatus of a message (RFC 8621 §7); `reported` as in its record."""
    undo_status = "pending" if status.can_be_undone else "final"
    return {
        "undoStatus": "canceled" if status.is_canceled else undo_status,
        "deliveryStatus": {
            recipient.address: as_reported(
                {
                    "smtpReply": recipient.reply,
                    "delivered": recipient.delivered,
                    "displayed": "unknown",
                },
                (reported or {}).get(recipient.address, {}),
            )
            for recipient in status.recipients
        },
    }


def _record(reader: Any, submission_id: str) -> Any:
    return reader.records(SUBMISSION, [submission_id]).get(submission_id)


def _note(writer: Any, status: OutboundStatus) -> None:
    record = _record(writer, status.message.id)
    if record is None:
        return
    if record.data["undoStatus"] == "canceled" and not status.has_left:
        return  # what it says is newer
    data = {**record.data, **progress(status, record.data.get("reported"))}
    if data != record.data:
        writer.update_record(SUBMISSION, record.id, data)

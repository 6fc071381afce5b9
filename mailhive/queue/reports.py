"""Telling senders what became of their mail (RFC 3461 §5.2, §6)."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from mailhive.errors import BlobNotFound
from mailhive.mime.dsn import RecipientReport, delivery_status_notification
from mailhive.model.envelope import Envelope
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.queue.ledger import Report

__all__ = ["Reporter"]

#: Octets of the header, and of a whole message, that go back to the sender.
_MOST_HEADER = 65_536
_MOST_MESSAGE = 1_000_000


@frozen
class Reporter:
    """Makes delivery status notifications and stores them."""

    blobs: Any  # IBlobStore
    hostname: str

    def hold(self) -> Any:
        """A hold on the blob store, for the time in which a notification is made."""
        return self.blobs.hold()

    async def notification(
        self, message: OutboundMessage, reports: Sequence[Report], now: int, life: float
    ) -> OutboundMessage:
        """The message that tells the sender of `reports`."""
        envelope = message.envelope
        given = envelope.recipient_parameters
        try:
            size = await self.blobs.size(message.blob_id)
        except BlobNotFound:  # that is what the report says, then
            size = 0
        # RFC 3461 §4.3: only a failure brings the whole message back; RFC 8689 §5.
        requires_tls = "REQUIRETLS" in envelope.parameters
        is_full = (
            size > 0
            and not requires_tls
            and (envelope.parameters.get("RET") or "").upper() == "FULL"
            and size <= _MOST_MESSAGE
            and any(report.action == "failed" for report in reports)
        )
        most = size if is_full else min(size, _MOST_HEADER)
        original = await self.blobs.read(message.blob_id, 0, most) if most else b""
        raw = delivery_status_notification(
            sender=envelope.mail_from,
            hostname=self.hostname,
            now=now,
            arrived_at=message.submitted_at,
            retry_until=max(message.submitted_at, message.send_at or 0) + int(life * 1000),
            envelope_id=envelope.parameters.get("ENVID"),
            recipients=[
                RecipientReport(
                    report.address,
                    report.action,
                    report.reply,
                    report.host,
                    given.get(report.address, {}).get("ORCPT"),
                )
                for report in reports
            ],
            original=original,
            is_full=is_full,
        )
        writer = self.blobs.open_writer()
        try:
            writer.write(raw)
        except BaseException:
            writer.abort()
            raise
        blob_id = await writer.commit()
        # RFC 3461 §6.1: a null reverse-path, so that nothing answers this.
        back = Envelope("", (envelope.mail_from,), {"REQUIRETLS": None} if requires_tls else {})
        return OutboundMessage(random_id("d"), back, blob_id, now)

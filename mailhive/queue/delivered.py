"""Telling senders that their mail has arrived, where they asked for that (RFC 3461 §5.2.3)."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from mailhive.errors import TemporaryFailure
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.queue.ledger import Report
from mailhive.queue.reports import Reporter
from mailhive.queue.schedule import success_action

__all__ = ["DeliveryReports"]


@frozen
class DeliveryReports:
    """For mail that others have brought, which never was in the outbox."""

    reporter: Reporter
    outbox: Any  # IOutbox
    clock: Any  # IReactorTime
    _log = Logger()

    async def delivered(
        self, envelope: Envelope, blob_id: str, outcomes: Sequence[RecipientOutcome]
    ) -> None:
        """Tell the sender of recipients who have the message; to be called in a hold.

        A failure is logged: that the message was delivered is true nevertheless.
        """
        given = envelope.recipient_parameters
        reports = [
            Report(
                outcome.recipient,
                success_action(outcome),
                f"{outcome.code} {outcome.enhanced} {outcome.text}",
                outcome.host,
            )
            for outcome in outcomes
            if outcome.code == 250
            and not outcome.notifies
            and _wants_success(given.get(outcome.recipient, {}))
        ]
        if not reports or not envelope.mail_from:  # RFC 3461 §5.2.3, §6.1
            return
        now = int(self.clock.seconds() * 1000)
        about = OutboundMessage(random_id("m"), envelope, blob_id, now)
        try:
            await self.outbox.submit(await self.reporter.notification(about, reports, now, 0))
        except TemporaryFailure as error:
            self._log.warn(
                "<{sender}> is not told of a delivery: {why}",
                sender=envelope.mail_from,
                why=str(error),
            )


def _wants_success(parameters: dict[str, str | None]) -> bool:
    return "SUCCESS" in (parameters.get("NOTIFY") or "").upper().split(",")

"""Handing a message to the transports, and what that says of its recipients."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.outbound import OutboundMessage, RecipientStatus

__all__ = ["Handover", "is_waiting"]

# RFC 3463 §3.5: X.4.0, other or undefined network or routing status.
_NO_WAY = "451 4.4.0 No way to this recipient yet, waiting"


def is_waiting(status: RecipientStatus) -> bool:
    """Is the recipient queued because no transport takes it?"""
    return status.reply == _NO_WAY


@define(eq=False)
class Handover:
    """`transports` are asked in order which of them takes a recipient."""

    transports: list[Any] = Factory(list)  # ITransport
    _log = Logger()

    async def results(
        self, message: OutboundMessage, addresses: Sequence[str]
    ) -> AsyncIterator[list[RecipientStatus]]:
        """Yield what becomes of the recipients, those of one transport together."""
        ways: dict[int | None, list[str]] = {}
        for address in addresses:
            try:
                ways.setdefault(await self._way(address), []).append(address)
            except TemporaryFailure as error:
                # RFC 3463 §3.5: X.4.3, directory server failure.
                yield [RecipientStatus(address, "queued", f"451 4.4.3 {error}")]
        for way, together in ways.items():
            if way is None:
                yield [RecipientStatus(address, "queued", _NO_WAY) for address in together]
            else:
                yield await self._deliver(self.transports[way], message, tuple(together))

    async def _way(self, address: str) -> int | None:
        """Which transport takes the address."""
        for way, transport in enumerate(self.transports):
            if await transport.takes(address):
                return way
        return None

    async def _deliver(
        self, transport: Any, message: OutboundMessage, addresses: tuple[str, ...]
    ) -> list[RecipientStatus]:
        envelope = Envelope(message.envelope.mail_from, addresses, message.envelope.parameters)
        try:
            outcomes = await transport.deliver(envelope, message.blob_id)
        except CancelledError:
            raise
        except Exception as error:
            if isinstance(error, MailhiveError):
                self._log.warn("Message {id} is put off: {why}", id=message.id, why=str(error))
            else:
                self._log.failure("Message {id} is put off", Failure(error), id=message.id)
            why = "Cannot be sent now, trying again"
            outcomes = [RecipientOutcome(address, 451, "4.3.0", why) for address in addresses]
        return [_status(outcome, relays=transport.relays) for outcome in outcomes]


def _status(outcome: RecipientOutcome, *, relays: bool) -> RecipientStatus:
    if outcome.code < 300:
        delivered = "unknown" if relays else "yes"
    else:
        delivered = "queued" if outcome.code < 500 else "no"
    reply = f"{outcome.code} {outcome.enhanced} {outcome.text}"
    return RecipientStatus(outcome.recipient, delivered, reply)

"""Handing a message to the transports."""

from collections.abc import Iterable
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailhive.errors import BlobNotFound, MailhiveError, TemporaryFailure
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.outbound import OutboundMessage
from mailhive.model.rates import Rate

__all__ = ["Handover", "Way"]

#: Deliveries at a time to a destination of which nothing more is known yet.
_AT_ONCE = 5
#: Destinations whose transport is remembered.
_MOST_KNOWN = 10_000


_LOST = "The message was lost"


@frozen
class Way:
    """How a recipient is reached: by which transport, if any, and what its mail waits for."""

    transport: Any  # ITransport, or None
    destination: str


@define(eq=False)
class Handover:
    """`transports` are asked in order which of them takes a recipient."""

    transports: list[Any] = Factory(list)  # ITransport
    _known: dict[str, Any] = Factory(dict)  # ITransport by destination
    _log = Logger()

    async def ways(self, addresses: Iterable[str]) -> dict[str, Way | TemporaryFailure]:
        """How each is reached, or why that cannot be known now."""
        ways: dict[str, Way | TemporaryFailure] = {}
        for address in addresses:
            try:
                ways[address] = await self._way(address)
            except TemporaryFailure as error:
                ways[address] = error
        return ways

    def at_once(self, destination: str) -> int:
        """How many deliveries to a destination there may be at a time."""
        transport = self._known.get(destination)
        return _AT_ONCE if transport is None else transport.at_once

    def rate(self, destination: str) -> Rate | None:
        """How often there may be one; if nothing more is known, as the last transport wants it."""
        last = self.transports[-1] if self.transports else None
        transport = self._known.get(destination, last)
        return None if transport is None else transport.rate

    async def _way(self, address: str) -> Way:
        for transport in self.transports:
            destination = await transport.destination(address)
            if destination is not None:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()  # those in use come back with the next question
                self._known[destination] = transport
                return Way(transport, destination)
        return Way(None, "")

    async def deliver(
        self, transport: Any, message: OutboundMessage, addresses: tuple[str, ...]
    ) -> tuple[RecipientOutcome, ...]:
        """What becomes of recipients of one destination; a failure puts them off."""
        if transport is None:
            # RFC 3463 §3.5: X.4.0, other or undefined network or routing status.
            return tuple(
                RecipientOutcome(address, 451, "4.4.0", "No way to this recipient yet")
                for address in addresses
            )
        envelope = message.envelope
        given = envelope.recipient_parameters
        part = Envelope(
            envelope.mail_from,
            addresses,
            envelope.parameters,
            {address: given[address] for address in addresses if address in given},
        )
        try:
            outcomes: tuple[RecipientOutcome, ...] = await transport.deliver(part, message.blob_id)
        except CancelledError:
            raise
        except BlobNotFound:
            # Out of step with each other, as after a restored backup: no time mends that.
            self._log.error("Message {id} is not there any more", id=message.id)
            return tuple(RecipientOutcome(a, 554, "5.3.0", _LOST) for a in addresses)
        except Exception as error:
            if isinstance(error, MailhiveError):
                self._log.warn("Message {id} is put off: {why}", id=message.id, why=str(error))
            else:
                self._log.failure("Message {id} is put off", Failure(error), id=message.id)
            why = "Cannot be sent now, trying again"
            return tuple(RecipientOutcome(address, 451, "4.3.0", why) for address in addresses)
        return outcomes

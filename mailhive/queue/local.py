"""Submitted mail for recipients of this server."""

from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.interfaces.outbox import ITransport
from mailhive.mail.delivery import deliver_each
from mailhive.mail.postmaster import Postmaster
from mailhive.model.envelope import Envelope, RecipientOutcome

__all__ = ["LocalTransport"]

#: Octets of a message that are copied at once.
_CHUNK = 262_144


@implementer(ITransport)
@frozen
class LocalTransport:
    """Takes whatever is for a domain of the directory, known there or not, and for this host."""

    directory: Any  # IDirectory
    delivery: Any  # IDelivery
    blobs: Any  # IBlobStore
    postmaster: Postmaster | None = None
    relays = False
    at_once = 20
    rate = None
    _log = Logger()

    def destination(self, address: str) -> Deferred[str | None]:
        """One for all, so that who is reached by addresses of several domains gets it once."""
        if self.postmaster is not None and self.postmaster.is_of_host(address):
            return succeed("here")
        found: Deferred[bool] = self.directory.is_local_domain(address.rpartition("@")[2])
        return found.addCallback(lambda is_local: "here" if is_local else None)

    def deliver(self, envelope: Envelope, blob_id: str) -> Deferred[tuple[RecipientOutcome, ...]]:
        return Deferred.fromCoroutine(self._deliver(envelope, blob_id))

    async def _deliver(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        known, outcomes = [], {}
        size = await self.blobs.size(blob_id)
        for address in envelope.recipients:
            refusal = await self.delivery.check_recipient(address, size)
            if refusal is None:
                known.append(address)
            else:
                outcomes[address] = refusal
        if known:
            with self.blobs.hold():
                final = await self._with_return_path(envelope.mail_from, blob_id)
                final_envelope = evolve(envelope, recipients=tuple(known))
                each = await deliver_each(self.delivery, final_envelope, final)
                outcomes |= {outcome.recipient: outcome for outcome in each}
        return tuple(outcomes[address] for address in envelope.recipients)

    async def _with_return_path(self, mail_from: str, blob_id: str) -> str:
        """The blob of the message as final delivery leaves it (RFC 5321 §4.4)."""
        size = await self.blobs.size(blob_id)
        writer = self.blobs.open_writer()
        try:
            writer.write(f"Return-Path: <{mail_from}>\r\n".encode())
            for start in range(0, size, _CHUNK):
                writer.write(await self.blobs.read(blob_id, start, _CHUNK))
        except BaseException:
            writer.abort()
            raise
        final: str = await writer.commit()
        return final

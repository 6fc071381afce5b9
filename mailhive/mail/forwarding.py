"""Mail for addresses that stand for others, here and elsewhere (RFC 5321 §3.9).

What is for others elsewhere goes through the outbox, as a message of its own, which is
held there until recipients here have theirs, by the delivery behind this one.  If one of
the two fails, nobody gets it, and the client sends it again.  What a crash left held goes
out: the client was not told yet, and may send it again.

What goes on has a Delivered-To field more.  A message that comes back with it is refused:
it is in a loop.  Recipients elsewhere whom a filter has added get it the same way, without.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.errors import TemporaryFailure
from mailhive.interfaces.delivery import IDelivery
from mailhive.mail.reach import Forwards, Reach
from mailhive.model.addresses import canonical_address, split
from mailhive.model.arrival import PLAIN, Arrival
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.model.principal import Principal

__all__ = ["ForwardingDelivery"]

#: Messages that are in memory, whole, to be passed on.
_AT_ONCE = 2
_MOST_HEADER = 1_000_000
#: Parameters of MAIL that hold on any way, and those that are for who sent the message.
_PASSED_ON = ("BODY", "SMTPUTF8", "REQUIRETLS")
_FOR_SENDER = ("RET", "ENVID")
_RETURN_PATH = re.compile(rb"\Areturn-path:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE)
_DELIVERED_TO = re.compile(rb"^delivered-to:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(rb"(?:\A|\n)\r?\n")


@frozen
class _Message:
    """What there is to deliver, as `IDelivery.deliver` has it."""

    blob_id: str
    arrival: Arrival


@implementer(IDelivery)
@define(eq=False)
class ForwardingDelivery:
    """Passes on what is for addresses of `forwards`, and leaves the rest to `inner`.

    `seal(message, domain, found)` gives the fields that say in the name of a domain what was
    `found` of a message; it may take time, and `offload` runs it.
    """

    inner: Any  # IDelivery
    forwards: Forwards
    blobs: Any  # IBlobStore
    outbox: Any  # IOutbox
    offload: Callable[..., Any]
    now: Callable[[], int]
    seal: Callable[[bytes, str, bytes], bytes]
    _turns: DeferredSemaphore = field(init=False, factory=lambda: DeferredSemaphore(_AT_ONCE))
    _log = Logger()

    def keep_sent(self, principal: Principal, blob_id: str) -> Deferred[None]:
        kept: Deferred[None] = self.inner.keep_sent(principal, blob_id)
        return kept

    def check_recipient(
        self, address: str, size: int | None = None
    ) -> Deferred[RecipientOutcome | None]:
        return Deferred.fromCoroutine(self._check_recipient(address, size))

    async def _check_recipient(self, address: str, size: int | None) -> RecipientOutcome | None:
        reach = await self.forwards.reach(address) or Reach((address,), {})
        if reach.elsewhere:
            return None
        refusals: list[RecipientOutcome] = []
        for each in reach.here:
            refusal = await self.inner.check_recipient(each, size)
            if refusal is None:
                return None
            refusals.append(refusal)
        # one that may be served later counts for more
        return evolve(min(refusals, key=lambda one: one.code), recipient=address)

    def deliver(
        self, envelope: Envelope, blob_id: str, arrival: Arrival = PLAIN
    ) -> Deferred[tuple[RecipientOutcome, ...]]:
        return Deferred.fromCoroutine(self._all(envelope, _Message(blob_id, arrival)))

    async def _all(self, envelope: Envelope, message: _Message) -> tuple[RecipientOutcome, ...]:
        held: list[OutboundMessage] = []
        try:
            outcomes = await self._deliver(envelope, message, held)
        except Exception as error:
            for outbound in held:
                await self.outbox.cancel(outbound.id)
            if not isinstance(error, TemporaryFailure):
                raise
            why, blob = str(error), message.blob_id
            self._log.warn("Mail that goes on is put off: {reason}", reason=why, blob=blob)
            text = "Cannot deliver now, try again later"
            return tuple(RecipientOutcome(a, 451, "4.3.0", text) for a in envelope.recipients)
        for outbound in held:
            await self.outbox.release(outbound.id)
        return outcomes

    async def _deliver(
        self, envelope: Envelope, message: _Message, held: list[OutboundMessage]
    ) -> tuple[RecipientOutcome, ...]:
        """Serve those here; what goes elsewhere is `held` then, if not out already."""
        outcomes: dict[str, RecipientOutcome] = {}
        reaches: dict[str, Reach] = {}
        for address in envelope.recipients:
            if (reach := await self.forwards.reach(address)) is not None:
                reaches[address] = reach
            elif address in message.arrival.added:
                if not await self.forwards.is_here(address):
                    reaches[address] = Reach((), {None: (address,)})
                elif (refusal := await self._refusal_for_good(address)) is not None:
                    outcomes[address] = refusal
        if reaches:
            been = await self._delivered_to(message.blob_id)
            for address in [a for a in reaches if canonical_address(a) in been]:
                del reaches[address]
                outcomes[address] = RecipientOutcome(address, 554, "5.4.6", "Mail is in a loop")
        direct = [a for a in envelope.recipients if a not in reaches and a not in outcomes]
        here = await self._here(reaches)
        waits = bool(direct or here) or sum(len(reach.elsewhere) for reach in reaches.values()) > 1
        for address, reach in reaches.items():
            await self._pass_on(envelope, address, reach, message, held if waits else None)
        served = await self._serve(envelope, (*direct, *here), message)
        failure = next((one for one in served.values() if one.code != 250), None)
        if failure is not None:
            while held:
                await self.outbox.cancel(held.pop().id)
        for address in direct:
            outcomes[address] = served[address]
        for address, reach in reaches.items():
            if failure is not None:
                outcomes[address] = evolve(failure, recipient=address)
            elif not reach.elsewhere and not set(reach.here) & set(here):
                outcomes[address] = RecipientOutcome(address, 550, "5.1.1", "Nobody has it now")
            else:
                outcomes[address] = RecipientOutcome(
                    address,
                    250,
                    "2.1.5",
                    "Passed on",
                    notifies=reach.is_renamed,
                    is_expanded=reach.is_expanded,
                )
        return tuple(outcomes[address] for address in envelope.recipients)

    async def _refusal_for_good(self, address: str) -> RecipientOutcome | None:
        refusal: RecipientOutcome | None = await self.inner.check_recipient(address)
        return None if refusal is None or refusal.code < 500 else refusal

    async def _here(self, reaches: Mapping[str, Reach]) -> list[str]:
        """The recipients here of all of them; those whom nobody knows are left out."""
        known = []
        for each in dict.fromkeys(to for reach in reaches.values() for to in reach.here):
            if await self._refusal_for_good(each) is None:
                known.append(each)
            else:
                self._log.warn("Nobody here has {address}, where mail is forwarded", address=each)
        return known

    async def _serve(
        self, envelope: Envelope, recipients: tuple[str, ...], message: _Message
    ) -> dict[str, RecipientOutcome]:
        """What becomes of those here."""
        if not recipients:
            return {}
        part = evolve(envelope, recipients=tuple(dict.fromkeys(recipients)))
        outcomes = await self.inner.deliver(part, message.blob_id, message.arrival)
        return {outcome.recipient: outcome for outcome in outcomes}

    async def _delivered_to(self, blob_id: str) -> set[str | None]:
        """For whom the message was passed on already, in canonical form."""
        start: bytes = await self.blobs.read(blob_id, 0, _MOST_HEADER)
        end = _HEADER_END.search(start)
        values = _DELIVERED_TO.findall(start[: end.start() + 1] if end else start)
        return {canonical_address(value.decode("utf-8", "replace").strip()) for value in values}

    async def _pass_on(
        self,
        envelope: Envelope,
        address: str,
        reach: Reach,
        message: _Message,
        held: list[OutboundMessage] | None,
    ) -> None:
        """Give it to the outbox for those elsewhere; to be `held`, if there is a list of those."""
        if not reach.elsewhere:
            return
        with self.blobs.hold():
            stands_for = None if reach.elsewhere == {None: (address,)} else address
            passed = await self._turns.run(self._stored, message, stands_for)
            for sender, recipients in reach.elsewhere.items():
                sent = _envelope(envelope, address, sender, recipients, reach, message)
                outbound = OutboundMessage(random_id("s"), sent, passed, self.now())
                await self.outbox.submit(outbound, held=held is not None)
                if held is not None:
                    held.append(outbound)
                self._log.info(
                    "{id}: mail for <{address}> goes on to {recipients}",
                    id=outbound.id,
                    address=address,
                    recipients=list(recipients),
                    mail_from=sent.mail_from,
                )

    def _stored(self, message: _Message, address: str | None) -> Deferred[str]:
        return Deferred.fromCoroutine(self._store(message, address))

    async def _store(self, message: _Message, address: str | None) -> str:
        """The blob of the message as it goes on, from an address that stands for others."""
        raw = await self.blobs.read(message.blob_id)
        # RFC 5321 §4.4: only who delivers has a Return-Path.
        content = _RETURN_PATH.sub(b"", raw, count=1)
        fields = b""
        if address is not None:
            content = f"Delivered-To: {address}\r\n".encode() + content
            domain = split(canonical_address(address) or "")[1]
            if found := message.arrival.found:
                fields = await self.offload(self.seal, content, domain, found)
        writer = self.blobs.open_writer()
        try:
            writer.write(fields)
            writer.write(content)
        except BaseException:
            writer.abort()
            raise
        passed: str = await writer.commit()
        return passed


def _envelope(
    envelope: Envelope,
    address: str,
    sender: str | None,
    recipients: tuple[str, ...],
    reach: Reach,
    message: _Message,
) -> Envelope:
    """That of a message that goes on; a report, of a null sender, stays one."""
    # RFC 5321 §3.9.1, §3.9.2; RFC 3461 §5.2.7
    is_alias = sender is None
    kept = (*_PASSED_ON, *_FOR_SENDER) if is_alias else _PASSED_ON
    given = dict(envelope.recipient_parameters.get(address, {}) if is_alias else {})
    if given.get("NOTIFY") and not reach.is_renamed:
        # That it was passed on is told as success, once and for all of them.
        wanted = [word for word in (given["NOTIFY"] or "").upper().split(",") if word != "SUCCESS"]
        given["NOTIFY"] = ",".join(wanted) or "NEVER"
    arrival = message.arrival
    # The sender of junk is not the one that it names, like as not, and knows of nobody added.
    if is_alias and (arrival.is_junk or (address in arrival.added and not given.get("NOTIFY"))):
        given["NOTIFY"] = "NEVER"
    return Envelope(
        envelope.mail_from if sender is None or not envelope.mail_from else sender,
        recipients,
        {name: value for name, value in envelope.parameters.items() if name in kept},
        dict.fromkeys(recipients, given) if given else {},
    )

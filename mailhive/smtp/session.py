"""The messages of one connection: the machine asks, the providers answer.

A message goes straight into a blob writer, behind its trace header.  After its
end the blob is made durable, then handed to delivery, and only then answered.

**One reply for all recipients** (RFC 5321 §4.2.5 leaves SMTP no other way):
250 when every recipient was served; else the first 4yz outcome, which makes the
client try again for all of them; else the first 5yz.  So nothing is ever lost
unnoticed; that a recipient served before is not served twice is the delivery's
business, which knows a message that it already has.  When no recipient was
served the blob goes again: as its trace header has an id of its own, nobody
else can refer to it.  A blob whose delivery failed in a way that leaves this
open is left to the collector of unreferenced blobs.
"""

import secrets
from typing import Any

from twisted.logger import Logger, LogLevel

from mailhive.errors import TemporaryFailure
from mailhive.mail.delivery import deliver_each
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.smtp import replies
from mailhive.smtp.events import (
    Authenticate,
    MessageEnd,
    MessageStart,
    Recipient,
    Sender,
    TransactionEnd,
)
from mailhive.smtp.replies import Fault, SmtpReply, server_error
from mailhive.smtp.trace import TraceFilter, address_literal, trace_header

__all__ = ["HOP_LIMIT", "LmtpSession", "Session", "verdict"]

#: Received fields that a message may come with: RFC 5321 §6.3 asks for at least 100.
HOP_LIMIT = 100

Answer = SmtpReply | tuple[SmtpReply, ...] | None
Question = Authenticate | Sender | Recipient | MessageStart | MessageEnd


class Session:
    """One connection's dealings with `services.blobs` and `services.delivery`.

    `peer` is the client's address, "" if it has none, `clock` an `IReactorTime`.
    """

    def __init__(self, *, services: Any, listener: str, peer: str, clock: Any, log: Logger):
        self._blobs = services.blobs
        self.delivery = services.delivery
        self._hostname = services.hostname
        #: Names the connection in the log.
        self.connection = secrets.token_hex(4)
        self._listener = listener
        self.peer = peer
        self._clock = clock
        self.log = log
        self._writer: Any = None
        self._filter = TraceFilter()
        #: What began the message that is coming in.
        self.start: MessageStart | None = None
        self._transaction = ""
        self._size = 0
        self._began = 0.0

    async def answer(self, question: Question) -> Answer:
        """Answer a question of the machine.  Raises nothing."""
        try:
            return await self.respond(question)
        except TemporaryFailure as error:
            reply = server_error(str(error))
        except Exception as error:
            self.log.failure("{listener}: cannot answer", listener=self._listener)
            reply = server_error(repr(error))
        self.abandon()
        return reply

    async def respond(self, question: Question) -> Answer:
        """Answer a question; what a server does that takes mail in for those who are here."""
        match question:
            case Recipient(address, size):
                return await self.check(address, size)
            case MessageStart():
                self.begin(question)
                return None
            case MessageEnd():
                return self.verdict(await self._deliver())
        raise TypeError(question)  # the machine does not ask it in this role

    def data(self, data: bytes) -> SmtpReply | None:
        """Take in content.  A reply says that the message cannot be taken.  Raises nothing."""
        if self._writer is None:
            return None
        try:
            self._write(self._filter.feed(data))
        except TemporaryFailure as error:
            reply = server_error(str(error))
        except Exception as error:
            self.log.failure("{listener}: cannot write", listener=self._listener)
            reply = server_error(repr(error))
        else:
            if self._filter.received <= HOP_LIMIT:
                return None
            reply = replies.TOO_MANY_HOPS
        self.abandon()
        return reply

    def abandon(self) -> None:
        """Forget what was written of a message."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abort()

    def end(self, event: TransactionEnd) -> None:
        """A transaction is over: drop what it left and log it."""
        self.abandon()
        start, self.start = self.start, None
        reply = event.reply
        self.log.emit(
            LogLevel.warn if reply and reply.whose_fault is Fault.SERVER else LogLevel.info,
            "{peer} {listener} {transaction} from <{mail_from}> to {recipients} {size} octets "
            "{seconds} s: {outcome}",
            listener=self._listener,
            connection=self.connection,
            transaction=self._transaction if start else "no message",
            peer=self.peer,
            hello=start.hello if start else None,
            protocol=start.protocol if start else None,
            mail_from=event.envelope.mail_from,
            recipients=list(event.envelope.recipients),
            size=self._size if start else 0,
            seconds=round(self._clock.seconds() - self._began, 3) if start else 0,
            outcome=str(reply) if reply else "abandoned",
            cause=reply.cause if reply else None,
        )

    def now(self) -> float:
        """Seconds since 1970."""
        now: float = self._clock.seconds()
        return now

    async def check(self, address: str, size: int | None) -> SmtpReply | None:
        """Can this recipient get mail here?  A reply says why not."""
        refusal = await self.delivery.check_recipient(address, size)
        if refusal is None:
            return None
        whose_fault = Fault.PEER if refusal.code >= 500 else Fault.NOBODY
        reply = SmtpReply(refusal.code, refusal.enhanced, refusal.text, whose_fault=whose_fault)
        self.log.info(
            "{listener}: recipient <{recipient}> refused: {reply}",
            listener=self._listener,
            recipient=address,
            reply=str(reply),
            peer=self.peer,
        )
        return reply

    def begin(self, start: MessageStart) -> None:
        """Store what comes from here on, behind what `trace` puts before it."""
        self.start = start
        self._transaction = secrets.token_hex(8)
        self._began = self._clock.seconds()
        self._size = 0
        self._filter = TraceFilter()
        self._writer = self._blobs.open_writer()
        self._write(self.trace(start))

    def trace(self, start: MessageStart) -> bytes:
        """The header fields that go before the message."""
        return trace_header(
            start,
            peer=address_literal(self.peer),
            hostname=self._hostname,
            transaction=self._transaction,
            now=self._began,
        )

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        self._writer.write(data)

    def verdict(self, outcomes: tuple[RecipientOutcome, ...]) -> Answer:
        """What the client is told of these."""
        assert self.start is not None
        return verdict(self.start.envelope, outcomes)

    async def _deliver(self) -> tuple[RecipientOutcome, ...]:
        assert self.start is not None
        envelope = self.start.envelope
        with self._blobs.hold():
            blob_id = await self.commit()
            outcomes = await self.hand_over(envelope, blob_id)
        if not any(outcome.code == 250 for outcome in outcomes):
            await self.forget(blob_id)
        return tuple(outcomes)

    async def hand_over(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        """Have a stored message delivered."""
        outcomes: tuple[RecipientOutcome, ...] = await self.delivery.deliver(envelope, blob_id)
        return outcomes

    async def commit(self) -> str:
        """Make the message durable; to be called in a hold.  Its blob's id."""
        self._write(self._filter.flush())
        writer, self._writer = self._writer, None
        blob_id: str = await writer.commit()
        return blob_id

    async def forget(self, blob_id: str) -> None:
        """Delete a blob that nobody refers to."""
        try:
            await self._blobs.delete(blob_id)
        except TemporaryFailure as error:
            self.log.warn(
                "{listener}: blob {blob_id} is left to the collector: {cause}",
                listener=self._listener,
                blob_id=blob_id,
                cause=str(error),
            )


class LmtpSession(Session):
    """Tells of each recipient by itself (RFC 2033 §4.2)."""

    async def hand_over(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        return await deliver_each(self.delivery, envelope, blob_id)

    def verdict(self, outcomes: tuple[RecipientOutcome, ...]) -> Answer:
        return tuple(
            replies.MESSAGE_ACCEPTED
            if outcome.code == 250
            else SmtpReply(
                outcome.code,
                outcome.enhanced,
                outcome.text,
                cause=f"for {outcome.recipient}",
                whose_fault=Fault.SERVER if outcome.code < 500 else Fault.NOBODY,
            )
            for outcome in outcomes
        )


def verdict(envelope: Envelope, outcomes: tuple[RecipientOutcome, ...]) -> SmtpReply:
    """The one reply for all recipients; the module's docstring has the rule."""
    if len(outcomes) != len(envelope.recipients):
        return server_error(f"{len(outcomes)} outcomes of {len(envelope.recipients)} recipients")
    refused = [outcome for outcome in outcomes if outcome.code != 250]
    if not refused:
        return replies.MESSAGE_ACCEPTED
    first = next((outcome for outcome in refused if outcome.code < 500), refused[0])
    return SmtpReply(
        first.code,
        first.enhanced,
        first.text,
        cause=f"{len(refused)} of {len(outcomes)} recipients not served, first {first.recipient}",
        whose_fault=Fault.SERVER if first.code < 500 else Fault.NOBODY,
    )

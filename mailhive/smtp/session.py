"""The messages of one connection: the machine asks, the providers answer.

A message goes straight into a blob writer, behind its trace header.  After its
end the blob is made durable, then handed to delivery, and only then answered.
Where a check reads messages (`smtp/checks.py`), it first waits in a spool for it.

What the client is told of several recipients stands in `smtp/outcomes.py`.  When no
recipient was served the blob goes again: as its trace header has an id of its own, nobody
else can refer to it.  A blob whose delivery failed in a way that leaves this open is left
to the collector of unreferenced blobs.
"""

import secrets
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.logger import Logger, LogLevel

from mailhive.errors import TemporaryFailure
from mailhive.model.arrival import PLAIN, Arrival
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.model.scram import ScramLogin
from mailhive.smtp import replies
from mailhive.smtp.checks import Check, CheckFactory, Encryption, HeldMessage, Visit
from mailhive.smtp.events import (
    Authenticate,
    Connected,
    Hello,
    Lookup,
    MessageEnd,
    MessageStart,
    Recipient,
    Sender,
    TransactionEnd,
)
from mailhive.smtp.exchange import Credentials
from mailhive.smtp.outcomes import reply_for_all
from mailhive.smtp.replies import Fault, SmtpReply, peer_error, server_error
from mailhive.smtp.spool import Spool
from mailhive.smtp.trace import TraceFilter, address_literal, trace_header

__all__ = ["HOP_LIMIT", "Answer", "Session"]

#: Received fields that a message may come with: RFC 5321 §6.3 asks for at least 100.
HOP_LIMIT = 100

Answer = SmtpReply | tuple[SmtpReply, ...] | ScramLogin | None
Question = (
    Lookup | Authenticate | Connected | Hello | Sender | Recipient | MessageStart | MessageEnd
)

_HEADER_TOO_LONG = peer_error(552, "5.3.4", "The header of the message is too long")


class Session:
    """One connection's dealings with `services.blobs` and `services.delivery`.

    `peer` is the client's address, "" if it has none, and `port` its port, `clock` an
    `IReactorTime`, `encryption()` what is known of TLS; `filtered` is that of the listener.
    """

    def __init__(
        self,
        *,
        services: Any,
        listener: str,
        peer: str,
        clock: Any,
        log: Logger,
        port: int = 0,
        encryption: Callable[[], Encryption | None] = lambda: None,
        checks: Sequence[CheckFactory] = (),
        filtered: bool = False,
    ) -> None:
        self.services = services
        self._blobs = services.blobs
        self.delivery = services.delivery
        self._hostname = services.hostname
        #: Names the connection in the log.
        self.connection = secrets.token_hex(4)
        self._listener = listener
        self.peer = peer
        self._clock = clock
        self.log = log
        self._filtered = filtered
        self.visit = Visit(
            listener=listener,
            connection=self.connection,
            peer=peer,
            port=port,
            encryption=encryption,
        )
        self._checks = [check for make in checks if (check := make(self.visit)) is not None]
        self._writer: Any = None
        self._spool: Spool | None = None
        self._filter = TraceFilter()
        #: What began the message that is coming in.
        self.start: MessageStart | None = None
        #: Whom the client names; checks may have changed those in `start`.
        self.recipients: tuple[str, ...] = ()
        #: What is known of it.
        self.arrival = PLAIN
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
        """Answer a question: first what this role requires, then what the checks say."""
        match question:
            case Connected():
                return await self._ask(lambda check: check.connected())
            case Hello(name):
                refusal = await self._ask(lambda check: check.greeted(name))
                if refusal is None:
                    self.visit.hello = name
                return refusal
            case Lookup(login):
                return await self.look_up(login)
            case Authenticate(credentials):
                return await self.log_in(credentials)
            case Sender(address, parameters):
                refusal = await self.check_sender(address, parameters)
                return refusal or await self._begin_transaction(address, parameters)
            case Recipient(address, size):
                refusal = await self.check_recipient(address, size)
                return refusal or await self._ask(lambda check: check.recipient(address))
            case MessageStart():
                refusal = await self._ask(lambda check: check.content(question))
                if refusal is None:
                    self.begin(question)
                return refusal
            case MessageEnd():
                return await self._take()

    async def _begin_transaction(
        self, address: str, parameters: dict[str, str | None]
    ) -> SmtpReply | None:
        self.visit.transaction = secrets.token_hex(8)
        refusal: SmtpReply | None = replies.OK
        try:
            refusal = await self._ask(lambda check: check.sender(address, parameters))
        finally:
            if refusal is not None:  # some check may take it for begun
                self._transaction_ended()
        return refusal

    async def _ask(
        self, question: Callable[[Check], Coroutine[Any, Any, SmtpReply | None]]
    ) -> SmtpReply | None:
        for check in self._checks:
            refusal = await question(check)
            if refusal is not None:
                return refusal
        return None

    async def look_up(self, login: str) -> ScramLogin | SmtpReply:  # noqa: ARG002
        """What SCRAM goes by for a login."""
        return replies.AUTHENTICATION_FAILED  # a role without AUTH knows nobody

    async def log_in(self, credentials: Credentials) -> SmtpReply | None:  # noqa: ARG002
        """Are these somebody's?"""
        return replies.AUTHENTICATION_FAILED  # a role without AUTH lets nobody in

    async def check_sender(
        self, address: str, parameters: dict[str, str | None]
    ) -> SmtpReply | None:
        """May mail be from this address?"""

    async def check_recipient(self, address: str, size: int | None) -> SmtpReply | None:
        """Is mail to this address taken?"""
        return await self.check(address, size)

    def data(self, data: bytes) -> SmtpReply | None:
        """Take in content.  A reply says that the message cannot be taken.  Raises nothing."""
        if self._writer is None:
            return None
        try:
            self._receive(self._filter.feed(data))
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
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    def disconnected(self) -> None:
        """The connection has ended."""
        for check in self._checks:
            check.disconnected()

    def _transaction_ended(self) -> None:
        for check in self._checks:
            check.transaction_ended()

    def end(self, event: TransactionEnd) -> None:
        """A transaction is over: drop what it left and log it."""
        self.abandon()
        self._transaction_ended()
        transaction, self.visit.transaction = self.visit.transaction, ""
        start, self.start = self.start, None
        reply = event.reply
        self.log.emit(
            LogLevel.warn if reply and reply.whose_fault is Fault.SERVER else LogLevel.info,
            "{peer} {listener} {transaction} from <{mail_from}> to {recipients} {size} octets "
            "{seconds} s: {outcome}",
            listener=self._listener,
            connection=self.connection,
            transaction=transaction if start else "no message",
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
        self.recipients = start.envelope.recipients
        self.visit.transaction = self.visit.transaction or secrets.token_hex(8)
        self._began = self._clock.seconds()
        trace = self.trace(start)
        self._size = len(trace)
        self._filter = TraceFilter()
        self.arrival = Arrival(is_filtered=self._filtered)
        self._writer = self._blobs.open_writer()
        if any(check.reads_messages for check in self._checks):
            self._spool = Spool(self._directory)
        else:
            self._writer.write(trace)

    @property
    def _directory(self) -> Path:
        """Where long messages wait."""
        directory: Path = self.services.config.server.data_dir
        return directory

    def trace(self, start: MessageStart) -> bytes:
        """The header fields that go before the message."""
        return trace_header(
            start,
            peer=address_literal(self.peer),
            hostname=self._hostname,
            transaction=self.visit.transaction,
            now=self._began,
        )

    def _receive(self, data: bytes) -> None:
        self._size += len(data)
        (self._spool or self._writer).write(data)

    async def _take(self) -> Answer:
        """The message is complete: answer for it, unless a check does not let it through."""
        self._receive(self._filter.flush())
        spool, self._spool = self._spool, None
        if spool is not None:
            try:
                refusal = await self._show(spool)
            finally:
                spool.close()
            if refusal is not None:
                self.abandon()
                return refusal
        return await self.store()

    async def _show(self, spool: Spool) -> SmtpReply | None:
        """Show the message to the checks, and write what they let through."""
        assert self.start is not None
        header = spool.header()
        if header is None:
            return _HEADER_TOO_LONG
        message = HeldMessage(self.start, spool, self.complete(header), self.start.envelope)
        refusal = await self._ask(lambda check: check.message(message))
        if refusal is not None:
            return refusal
        if message.is_discarded or not message.envelope.recipients:
            return replies.MESSAGE_ACCEPTED
        # RFC 5321 §4.4: Return-Path has the sender that counts, Received whom the client named.
        sent = evolve(self.start.envelope, mail_from=message.envelope.mail_from)
        self._writer.write(self.trace(evolve(self.start, envelope=sent)))
        self.start = evolve(self.start, envelope=message.envelope)
        self.arrival = evolve(
            self.arrival,
            is_junk=message.is_junk,
            found=message.found,
            added=frozenset(message.envelope.recipients).difference(self.recipients),
        )
        self._writer.write(message.header)
        for chunk in spool.rest():
            self._writer.write(chunk)
        return None

    def complete(self, header: bytes) -> bytes:
        """A header section with what this role adds to it, before checks see it."""
        return header

    def verdict(self, outcomes: tuple[RecipientOutcome, ...]) -> Answer:
        """What the client is told of these."""
        assert self.start is not None
        envelope = self.start.envelope
        named = tuple(each for each in envelope.recipients if each in self.recipients)
        if named and named != envelope.recipients:
            # What becomes of those whom a check has added is no business of the client's.
            for each in outcomes:
                if each.code != 250 and each.recipient not in named:
                    self.log.warn(
                        "{added} is not served: {why}", added=each.recipient, why=each.text
                    )
            envelope = evolve(envelope, recipients=named)
            outcomes = tuple(each for each in outcomes if each.recipient in named)
        return reply_for_all(envelope, outcomes)

    async def store(self) -> Answer:
        """Take in the message that was written."""
        return self.verdict(await self._deliver())

    async def _deliver(self) -> tuple[RecipientOutcome, ...]:
        assert self.start is not None
        envelope = self.start.envelope
        with self._blobs.hold():
            blob_id = await self.services.analyses.store(self._take_writer())
            outcomes = await self.hand_over(envelope, blob_id)
            if not self.arrival.is_junk:  # whose sender is not the one that it names, like as not
                await self.services.reports.delivered(envelope, blob_id, outcomes)
        if all(outcome.code == 452 or outcome.code >= 500 for outcome in outcomes):
            await self.forget(blob_id)  # after any other failure somebody may have it
        return tuple(outcomes)

    async def hand_over(self, envelope: Envelope, blob_id: str) -> tuple[RecipientOutcome, ...]:
        """Have a stored message delivered."""
        outcomes: tuple[RecipientOutcome, ...] = await self.delivery.deliver(
            envelope, blob_id, self.arrival
        )
        return outcomes

    async def commit(self) -> str:
        """Make the message durable; to be called in a hold.  Its blob's id."""
        blob_id: str = await self._take_writer().commit()
        return blob_id

    def _take_writer(self) -> Any:
        writer, self._writer = self._writer, None
        return writer

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

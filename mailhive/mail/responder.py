"""Sending vacation responses for mail that was delivered (RFC 8621 §8)."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger

from mailhive.errors import MailhiveError
from mailhive.mail.delivery import Delivered
from mailhive.mail.vacation import (
    SINGLETON,
    VACATION,
    Vacation,
    address_to_answer_from,
    response,
)
from mailhive.mime.build import FieldError
from mailhive.mime.fields import Headers, parse_fields
from mailhive.model.envelope import Envelope
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage

__all__ = ["VacationResponder"]

#: Responses that are made at the same time, and messages that wait for theirs.
_AT_ONCE = 4
_MOST_WAITING = 1_000
#: Senders that an account remembers to have answered.
_MOST_SENDERS = 10_000


@define(eq=False)
class VacationResponder:
    """An observer of delivery.

    Who has got the same words less than `period` seconds ago gets none, which the
    account remembers; other words are told at once.  A message is answered at
    most once: what a crash or a failure keeps from being sent is not sent later.
    """

    store: Any  # IMailStore
    blobs: Any  # IBlobStore
    outbox: Any  # IOutbox
    offload: Callable[..., Any]
    clock: Any  # IReactorTime
    hostname: str
    period: float
    _waiting: int = field(default=0, init=False)
    _slots: DeferredSemaphore = field(factory=lambda: DeferredSemaphore(_AT_ONCE), init=False)
    _log = Logger()

    def __call__(self, delivered: Delivered) -> None:
        """Answer a message, once whoever sent it was told that it was delivered."""
        if not delivered.envelope.mail_from or delivered.junk:  # RFC 3834 §2
            return
        if self._waiting >= _MOST_WAITING:
            self._log.warn("Too much to answer: {account} does not", account=delivered.account_id)
            return
        self._waiting += 1
        self.clock.callLater(0, self._begin, delivered)

    def _begin(self, delivered: Delivered) -> None:
        Deferred.fromCoroutine(self._answer(delivered)).addBoth(self._end)

    def _end(self, _: object) -> None:
        self._waiting -= 1

    async def _answer(self, delivered: Delivered) -> None:
        try:
            vacation = await self.store.read(delivered.account_id, _vacation)
            if vacation is not None and vacation.is_on(delivered.email.received_at):
                async with self._slots:
                    await self._respond(delivered, vacation)
        except MailhiveError as error:
            self._log.warn(
                "No vacation response from {account}: {reason}",
                account=delivered.account_id,
                reason=str(error),
            )
        except Exception:
            self._log.failure("No vacation response", account=delivered.account_id)

    async def _respond(self, delivered: Delivered, vacation: Vacation) -> None:
        sender = delivered.envelope.mail_from
        now = int(self.clock.seconds() * 1000)
        raw = await self.offload(_message, delivered, vacation, self.hostname, now)
        if raw is None:
            return
        until = now + int(self.period * 1000)
        note = vacation.note(sender)
        if not await self.store.write(delivered.account_id, _is_new, note, now, until):
            return
        writer = self.blobs.open_writer()
        writer.write(raw)
        with self.blobs.hold():
            blob_id = await writer.commit()
            # RFC 3834 §3.3: the null reverse-path, so that nothing answers this.
            envelope = Envelope("", (sender,), _parameters(delivered))
            message = OutboundMessage(random_id("v"), envelope, blob_id, now)
            await self.outbox.submit(message)
        self._log.info(
            "Vacation response from {account} to <{sender}>",
            account=delivered.account_id,
            sender=sender,
        )


def _parameters(delivered: Delivered) -> dict[str, str | None]:
    """What tells of a message goes as the message did (RFC 8689 §5)."""
    return {"REQUIRETLS": None} if "REQUIRETLS" in delivered.envelope.parameters else {}


def _vacation(reader: Any) -> Vacation | None:
    found = reader.records(VACATION, [SINGLETON])
    return Vacation.of(found[SINGLETON].data) if found else None


def _is_new(writer: Any, note: str, now: int, until: int) -> bool:
    is_new: bool = writer.remember("vacation", note, now, until, _MOST_SENDERS)
    return is_new


def _message(delivered: Delivered, vacation: Vacation, host: str, now: int) -> bytes | None:
    """The response, if the message is to get one."""
    headers = Headers(parse_fields(delivered.email.headers))
    sender, owner = delivered.envelope.mail_from, delivered.principal
    own = address_to_answer_from(headers, sender, owner.emails, delivered.envelope.recipients)
    if own is None:
        return None
    try:
        return response(vacation, headers, sender, own, owner.description, host=host, now=now)
    except FieldError:
        return None  # an address that no header can hold

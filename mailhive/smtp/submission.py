"""Messages of users (RFC 6409): who they are, what they may send, and on to the outbox.

A message is answered with 250 once the outbox has it (RFC 5321 §4.5.5); what becomes
of its recipients is told by delivery reports.
"""

import secrets
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import DeferredSemaphore

from mailhive.auth.errors import AuthenticationFailed, NoAccount, TooManyAttempts
from mailhive.auth.passwords import Passwords
from mailhive.auth.scram import ScramPasswords
from mailhive.errors import MailhiveError, TemporaryFailure
from mailhive.interfaces.authentication import IBearerTokens
from mailhive.mail.identities import may_send_as
from mailhive.mime.address import parse_addresses
from mailhive.mime.compose import format_date_time
from mailhive.mime.fields import Headers, parse_fields
from mailhive.mime.outgoing import outgoing
from mailhive.model.addresses import canonical_name
from mailhive.model.ids import random_id
from mailhive.model.outbound import OutboundMessage
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin
from mailhive.model.utcdate import parse_date
from mailhive.smtp import replies
from mailhive.smtp.events import MessageStart
from mailhive.smtp.exchange import Credentials, Password, Proof
from mailhive.smtp.replies import SmtpReply, peer_error
from mailhive.smtp.session import Session
from mailhive.smtp.trace import address_literal, received_header

__all__ = ["SubmissionSession"]

#: Octets of the header, all of which is looked at for who the message is from.
_MOST_HEADER = 262_144

_MARK_OCTETS = 16

_HEADER_TOO_LONG = peer_error(552, "5.3.4", "The header of the message is too long")
_NO_AUTHOR = peer_error(550, "5.6.0", "The message needs one From field with addresses")
_HOLD_TWICE = peer_error(501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other")
_NO_HOLD = peer_error(555, "5.5.4", "Messages are not held back here")
_HELD_TOO_LONG = peer_error(554, "5.7.1", "Messages are not held back for so long")
_BAD_DATE = peer_error(501, "5.5.4", "HOLDUNTIL takes a date of RFC 3339")


class SubmissionSession(Session):
    """One connection of a user's mail program.

    `max_hold` is in seconds; `turns` limits how many messages are in memory at a time.
    """

    def __init__(
        self,
        *,
        services: Any,
        max_hold: int,
        turns: DeferredSemaphore,
        save_sent: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(services=services, **more)
        self._turns = turns
        self._max_hold = max_hold
        self._save_sent = save_sent
        self._send_at: int | None = None
        self._id = ""  # of the message that comes in

    async def look_up(self, login: str) -> SmtpReply | ScramLogin:
        scram: ScramPasswords = self.services.scram
        try:
            return await scram.find(login)
        except (AuthenticationFailed, TemporaryFailure) as error:
            return _refusal(error)

    async def log_in(self, credentials: Credentials) -> SmtpReply | None:
        try:
            user = await self._principal(credentials)
        except (AuthenticationFailed, NoAccount, TooManyAttempts, TemporaryFailure) as error:
            return _refusal(error)
        if user is None or not user.enabled:
            return replies.AUTHENTICATION_FAILED
        self.visit.user = user
        return None

    async def _principal(self, credentials: Credentials) -> Principal | None:
        services = self.services
        if isinstance(credentials, Proof):
            scram: ScramPasswords = services.scram
            return await scram.principal_of(
                credentials.login,
                credentials.found,
                credentials.text,
                right=credentials.right,
                peer=self.peer,
            )
        if isinstance(credentials, Password):
            passwords = Passwords(services.directory, services.throttle)
            return await passwords.principal_of(
                credentials.login, credentials.password, self.peer, "smtp"
            )
        undecided: MailhiveError | None = None
        for strategy in services.strategies:
            if not IBearerTokens.providedBy(strategy):
                continue
            try:
                found: Principal | None = await strategy.bearer(
                    credentials.token, self.peer, "smtp"
                )
            except AuthenticationFailed:
                continue
            except (NoAccount, TemporaryFailure, TooManyAttempts) as error:
                undecided = undecided or error  # perhaps another one knows it
                continue
            if found is not None and _is_named(found, credentials.user):
                return found
        if undecided is not None:
            raise undecided
        return None

    async def check_sender(
        self, address: str, parameters: dict[str, str | None]
    ) -> SmtpReply | None:
        user = self.visit.user
        assert user is not None  # the machine asks for AUTH first
        held = self._hold(parameters)
        if isinstance(held, SmtpReply):
            return held
        self._send_at = held
        if address and not await may_send_as(self.services.directory, user, address):
            return replies.NOT_YOUR_ADDRESS
        return None

    def _hold(self, parameters: dict[str, str | None]) -> int | SmtpReply | None:
        """When the message is to go, in milliseconds, if it is to be held back (RFC 4865)."""
        seconds, date = parameters.get("HOLDFOR"), parameters.get("HOLDUNTIL")
        if seconds is None and date is None:
            return None
        if not self._max_hold:
            return _NO_HOLD
        if seconds is not None and date is not None:
            return _HOLD_TWICE
        now = int(self.now() * 1000)
        if date is not None:
            try:
                send_at = parse_date(date.upper())
            except ValueError:
                return _BAD_DATE
        else:
            send_at = now + int(seconds or 0) * 1000
        return _HELD_TOO_LONG if send_at > now + self._max_hold * 1000 else send_at

    async def check_recipient(self, address: str, size: int | None) -> SmtpReply | None:
        """Of this server's domains those who are there; of others, everybody."""
        if await self.services.directory.is_local_domain(address.rpartition("@")[2]):
            return await self.check(address, size)
        return None

    def trace(self, start: MessageStart) -> bytes:  # noqa: ARG002
        # What is stored first is what the user wrote, and goes again.  Behind a mark, or it
        # would be the blob of whatever else has these very octets.
        return secrets.token_bytes(_MARK_OCTETS)

    def begin(self, start: MessageStart) -> None:
        self._id = random_id("s")
        super().begin(start)

    def complete(self, header: bytes) -> bytes:
        # A check that signs is to see them.
        return outgoing(header, b"", *self._missing(), is_own=True)

    def _missing(self) -> tuple[bytes, bytes]:
        """Date and Message-ID, for a message without (RFC 6409 §8.2, §8.3)."""
        return (
            f"Date: {format_date_time(int(self.now() * 1000))}\r\n".encode(),
            f"Message-ID: <{self._id}@{self.services.hostname}>\r\n".encode(),
        )

    async def store(self) -> SmtpReply:
        async with self._turns:
            return await self._submit()

    async def _submit(self) -> SmtpReply:
        """The message, which is in memory meanwhile, to the outbox as RFC 6409 §8 has it."""
        start, user = self.start, self.visit.user
        assert start is not None and user is not None
        blobs, now = self.services.blobs, int(self.now() * 1000)
        with blobs.hold():
            raw_id = await self.commit()
            raw = await blobs.read(raw_id, _MARK_OCTETS)
        await self.forget(raw_id)
        if refusal := await self._check_authors(user, _header(raw)):
            return refusal
        message_id, hostname = self._id, self.services.hostname
        trace = received_header(
            start,
            peer=address_literal(self.peer),
            hostname=hostname,
            transaction=message_id,
            now=self.now(),
        )
        missing = self._missing()
        sent = await self.services.offload(outgoing, raw, trace, *missing)
        with blobs.hold():
            message = OutboundMessage(
                message_id, start.envelope, await self._stored(sent), now, send_at=self._send_at
            )
            await self.services.outbox.submit(message)
            if self._save_sent:
                await self._keep(user, raw, missing, message_id)
        return SmtpReply(250, "2.0.0", f"Accepted as {message_id}")

    async def _stored(self, octets: bytes) -> str:
        writer = self.services.blobs.open_writer()
        try:
            writer.write(octets)
        except BaseException:
            writer.abort()
            raise
        blob_id: str = await writer.commit()
        return blob_id

    async def _keep(
        self, user: Principal, raw: bytes, missing: tuple[bytes, bytes], message_id: str
    ) -> None:
        """A copy for the user.  The message is on its way, so that no failure takes that back."""
        own = partial(outgoing, raw, b"", *missing, is_own=True)
        try:
            octets = await self.services.offload(own)
            await self.delivery.keep_sent(user, await self._stored(octets))
        except Exception as error:
            tell = self.log.warn if isinstance(error, MailhiveError) else self.log.failure
            what = "{id} is not in the Sent mailbox of {account}: {why}"
            tell(what, id=message_id, account=user.name, why=str(error))

    async def _check_authors(self, user: Principal, header: bytes) -> SmtpReply | None:
        """RFC 6409 §6.1: may the user say that the message is from these?"""
        if len(header) > _MOST_HEADER:
            return _HEADER_TOO_LONG
        fields = Headers(parse_fields(header)).all("from")
        if len(fields) != 1:
            return _NO_AUTHOR
        authors = [a.email for group in parse_addresses(fields[0]) for a in group.addresses]
        if not authors:
            return _NO_AUTHOR
        for author in authors:
            if not await may_send_as(self.services.directory, user, author):
                return evolve(replies.NOT_YOUR_ADDRESS, cause=f"From {author}")
        return None


def _header(message: bytes) -> bytes:
    """The header section of a message whose lines all end with CR LF."""
    return b"" if message.startswith(b"\r\n") else message.partition(b"\r\n\r\n")[0]


def _refusal(error: MailhiveError) -> SmtpReply:
    """What a client is told who cannot be let in."""
    if isinstance(error, TooManyAttempts):
        return evolve(replies.TRY_LATER, cause=str(error))
    if isinstance(error, TemporaryFailure):
        return evolve(replies.TRY_LATER, cause=str(error), whose_fault=replies.Fault.SERVER)
    return replies.AUTHENTICATION_FAILED


def _is_named(principal: Principal, user: str | None) -> bool:
    """Is it who the client says it is, if it says so?"""
    if user is None:
        return True
    names = {canonical_name(name) for name in (principal.name, *principal.emails)}
    return canonical_name(user) in names

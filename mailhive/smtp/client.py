"""The SMTP client without I/O (RFC 5321): conversations with a server over a wire.

A *wire* is a connection as its owner provides it:

    wire.write(octets)                    sends, some time
    await wire.drained()                  until not too much waits to be sent
    await wire.reply(seconds)             the server's next `SmtpReply`
    await wire.start_tls()                a TLS handshake, as the owner's policy has it

Each raises `Disconnected` when the connection cannot go on.

A conversation is `greet`, then perhaps `start_tls` and `client_login.log_in`, then `transfer`
once for each message, and `leave`.  Until `leave`, `Session.is_open` says whether
another message may follow.

**Commands are sent together** where the server lets them (PIPELINING, RFC 2920):
MAIL, every RCPT and DATA in one go.  A server that nevertheless asks for the
message though it took no recipient is sent an empty one (RFC 2920 §3.1).

**What becomes of a recipient** is the reply to its RCPT if that is a refusal, else
the reply to the message.  A connection that ends after the message was sent and
before the reply says nothing, so it counts as "try again", and the recipient may
get the message twice (RFC 5321 §4.5.4.1 and RFC 1047).
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from attrs import Factory, define, frozen

from mailhive.model.addresses import canonical_domain, split
from mailhive.model.envelope import Envelope, RecipientOutcome
from mailhive.smtp.answers import outcome_of
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.stuffing import DotStuffing

__all__ = [
    "MOST_RECIPIENTS",
    "Content",
    "Disconnected",
    "Refused",
    "Session",
    "TlsFailed",
    "greet",
    "leave",
    "start_tls",
    "transfer",
]

# Seconds to wait for a reply (RFC 5321 §4.5.3.2).
_GREETING = 300.0
_COMMAND = 300.0
_DATA = 120.0
_MESSAGE = 600.0
_FAREWELL = 5.0

#: Recipients of one transaction; a server need not take more (RFC 5321 §4.5.3.1.8).
MOST_RECIPIENTS = 100


class Disconnected(Exception):
    """The connection is gone or useless; says why, for the log and for the sender."""


class TlsFailed(Disconnected):
    """The connection is gone because there is no TLS to be had with this server."""


class Refused(Exception):
    """The server does not want this conversation."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Content(Protocol):
    """A message to be sent."""

    @property
    def size(self) -> int:
        """Octets."""

    @property
    def is_8bit(self) -> bool:
        """Has it octets over 127 (RFC 6152)?"""

    @property
    def has_utf8_header(self) -> bool:
        """Has its header such (RFC 6532)?"""

    def chunks(self) -> AsyncIterator[bytes]:
        """Its octets, from the start."""


@define(eq=False)
class Session:
    """A conversation.  `extensions` has what EHLO offered, by upper-case keyword."""

    wire: Any
    hostname: str  # ours
    extensions: dict[str, str] = Factory(dict)
    is_open: bool = True
    is_encrypted: bool = False
    messages: int = 0  # that were sent
    in_content: bool = False  # may the server have a message for which it has not answered?
    _in_transaction: bool = False
    _goodbye: SmtpReply | None = None

    async def command(self, line: str, seconds: float = _COMMAND) -> SmtpReply:
        self.send(line)
        return await self.reply(seconds)

    def send(self, *lines: str) -> None:
        self.wire.write("".join(f"{line}\r\n" for line in lines).encode())

    async def reply(self, seconds: float = _COMMAND) -> SmtpReply:
        """The next reply; 421 ends the conversation (RFC 5321 §3.8).

        What comes after that, if anything, is `Refused` for the same reason.
        """
        try:
            reply: SmtpReply = await self.wire.reply(seconds)
        except Disconnected:
            self.is_open = False
            if self._goodbye is not None:
                raise Refused(self._goodbye) from None
            raise
        if reply.code == 421:
            self.is_open = False
            self._goodbye = reply
        return reply


async def greet(wire: Any, hostname: str, *, encrypted: bool = False) -> Session:
    """Hear the server's greeting and greet it.  `Refused` when it has no time for us."""
    session = Session(wire, hostname, is_encrypted=encrypted)
    greeting = await session.reply(_GREETING)
    if greeting.code != 220:
        session.is_open = False
        raise Refused(greeting)
    await _hello(session)
    return session


async def start_tls(session: Session) -> None:
    """STARTTLS (RFC 3207).  `Refused` if the server does not offer or begin it."""
    if "STARTTLS" not in session.extensions:
        raise Refused(SmtpReply(454, "4.7.0", "The server does not offer STARTTLS"))
    reply = await session.command("STARTTLS", _DATA)
    if reply.code != 220:
        raise Refused(reply)
    try:
        await session.wire.start_tls()
    except Disconnected as error:
        session.is_open = False
        raise TlsFailed(f"TLS failed: {error}") from error
    session.is_encrypted = True
    await _hello(session)  # RFC 3207 §4.2: what was known of the server is forgotten


async def transfer(
    session: Session, envelope: Envelope, content: Content
) -> tuple[RecipientOutcome, ...]:
    """Send a message to at most `MOST_RECIPIENTS` recipients: what becomes of each, in order.

    `Disconnected` or `Refused` if the conversation ends before it is known.
    """
    addresses = envelope.recipients
    parameters = _parameters(session, envelope, content)
    if isinstance(parameters, SmtpReply):
        return tuple(outcome_of(address, parameters) for address in addresses)
    if session._in_transaction:
        await session.command("RSET")
    session._in_transaction = True
    session.messages += 1
    mail = " ".join([f"MAIL FROM:<{_path(session, envelope.mail_from)}>", *parameters])
    wanted = [_recipient(session, envelope, address) for address in addresses]
    if "PIPELINING" in session.extensions:
        answers = await _together(session, mail, wanted)
    else:
        answers = await _one_by_one(session, mail, wanted)
    final = answers.final
    if final is None and answers.begun:
        has_recipient = any(reply.positive for reply in answers.recipients)
        final = await _send(session, content if has_recipient else None)
        session._in_transaction = False
    return tuple(
        outcome_of(address, final if reply.positive and final is not None else reply)
        for address, reply in zip(addresses, answers.recipients, strict=True)
    )


async def leave(session: Session) -> None:
    """QUIT; the server may say what it likes."""
    if session.is_open:
        session.is_open = False
        with suppress(Disconnected, Refused):
            await session.command("QUIT", _FAREWELL)


@frozen
class _Answers:
    """The reply for each recipient; `final` is one for all; `begun`: the message is asked for."""

    recipients: list[SmtpReply]
    final: SmtpReply | None
    begun: bool


async def _together(session: Session, mail: str, recipients: list[str]) -> _Answers:
    """MAIL, RCPT and DATA in one go (RFC 2920 §3.1)."""
    session.send(mail, *recipients, "DATA")
    sender = await session.reply()
    replies = [await session.reply() for _ in recipients]
    data = await session.reply(_DATA)
    return _judged(sender, replies, data)


async def _one_by_one(session: Session, mail: str, recipients: list[str]) -> _Answers:
    sender = await session.command(mail)
    if not sender.positive:
        return _judged(sender, [sender] * len(recipients), sender)
    replies = [await session.command(recipient) for recipient in recipients]
    if not any(reply.positive for reply in replies):
        return _Answers(replies, None, begun=False)
    return _judged(sender, replies, await session.command("DATA", _DATA))


def _judged(sender: SmtpReply, replies: list[SmtpReply], data: SmtpReply) -> _Answers:
    if not sender.positive:
        return _Answers([sender] * len(replies), None, begun=data.code == 354)
    if data.code == 354:
        return _Answers(replies, None, begun=True)
    return _Answers(replies, data, begun=False)


async def _send(session: Session, content: Content | None) -> SmtpReply:
    stuffing = DotStuffing()
    session.in_content = content is not None
    if content is not None:
        async for chunk in content.chunks():
            session.wire.write(stuffing.feed(chunk))
            await session.wire.drained()
    session.wire.write(stuffing.end())
    reply = await session.reply(_MESSAGE)
    session.in_content = False
    return reply


async def _hello(session: Session) -> None:
    reply = await session.command(f"EHLO {session.hostname}")
    if reply.code != 250:
        # RFC 5321 §3.2: a server that does not know EHLO may know HELO.
        if reply.code >= 500:
            reply = await session.command(f"HELO {session.hostname}")
        if reply.code != 250:
            raise Refused(reply)
        session.extensions = {}
        return
    lines = [line.partition(" ") for line in reply.text.split("\n")[1:]]
    session.extensions = {keyword.upper(): value.strip() for keyword, _, value in lines}
    for keyword in list(session.extensions):
        if keyword.startswith("AUTH="):  # as servers announced it before RFC 2554
            mechanisms = f"{keyword[5:]} {session.extensions[keyword]}"
            session.extensions.setdefault("AUTH", mechanisms.strip())


def _parameters(session: Session, envelope: Envelope, content: Content) -> list[str] | SmtpReply:
    """The parameters of MAIL, or why the server cannot take this message."""
    offered, asked = session.extensions, envelope.parameters
    parameters = []
    if "SIZE" in offered:  # RFC 1870
        limit = int(offered["SIZE"]) if offered["SIZE"].isdecimal() else 0
        if 0 < limit < content.size:
            return SmtpReply(552, "5.3.4", f"The server takes messages of {limit} octets at most")
        parameters.append(f"SIZE={content.size}")
    if _is_international(envelope) or content.has_utf8_header:
        if "SMTPUTF8" not in offered:  # RFC 6531 §3.2
            return SmtpReply(553, "5.6.7", "The server takes no addresses or headers in UTF-8")
        parameters.append("SMTPUTF8")
    if content.is_8bit:
        if "8BITMIME" not in offered:  # RFC 6152 §3
            return SmtpReply(554, "5.6.3", "The server takes no messages in 8 bits")
        parameters.append("BODY=8BITMIME")
    if "REQUIRETLS" in asked:
        if "REQUIRETLS" in offered and session.is_encrypted:
            parameters.append("REQUIRETLS")
        elif envelope.mail_from:  # RFC 8689 §4.2.1; §5: a report is not lost for that
            return SmtpReply(550, "5.7.30", "The server does not support REQUIRETLS")
    if "DSN" in offered:  # RFC 3461 §4.3, §4.4
        parameters += [f"{name}={asked[name]}" for name in ("RET", "ENVID") if asked.get(name)]
    return parameters


def _recipient(session: Session, envelope: Envelope, address: str) -> str:
    command = f"RCPT TO:<{_path(session, address)}>"
    if "DSN" in session.extensions:  # RFC 3461 §4.1, §4.2
        given = envelope.recipient_parameters.get(address, {})
        command += "".join(f" {n}={given[n]}" for n in ("NOTIFY", "ORCPT") if given.get(n))
    return command


def _path(session: Session, address: str) -> str:
    """An address as the server knows it: its domain in ASCII if that is all it understands."""
    local, domain = split(address)
    if "SMTPUTF8" in session.extensions or domain.isascii():
        return address
    return f"{local}@{canonical_domain(domain) or domain}"


def _is_international(envelope: Envelope) -> bool:
    """Is there an address that has no form in ASCII?"""
    addresses = (envelope.mail_from, *envelope.recipients)
    return not all(split(address)[0].isascii() for address in addresses)

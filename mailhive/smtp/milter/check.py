"""Filters as checks of a listener."""

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailhive.config.milter import MilterSettings
from mailhive.model.networks import parse_address
from mailhive.smtp.checks import Check, HeldMessage, Visit
from mailhive.smtp.events import MessageStart
from mailhive.smtp.milter.changes import Changes, HeaderFields
from mailhive.smtp.milter.conversation import Conversation
from mailhive.smtp.milter.link import FilterGone, FilterLink, connect
from mailhive.smtp.milter.macros import MacroValues
from mailhive.smtp.milter.packets import BadPacket, Verdict, VerdictKind
from mailhive.smtp.replies import Fault, SmtpReply, peer_error

__all__ = ["Milter", "MilterCheck"]

_REPLIES = {
    VerdictKind.REJECT: peer_error(550, "5.7.1", "Rejected"),
    VerdictKind.TEMPFAIL: SmtpReply(451, "4.7.1", "Service unavailable, try again later"),
    VerdictKind.SHUTDOWN: SmtpReply(421, "4.7.0", "Closing connection"),
}
_ON_FAILURE = {
    "tempfail": SmtpReply(
        451, "4.7.1", "Service unavailable, try again later", whose_fault=Fault.SERVER
    ),
    "reject": SmtpReply(550, "5.5.0", "Service unavailable", whose_fault=Fault.SERVER),
    "accept": None,
}
#: Fields of a header, of each of which filters are told.
_MOST_FIELDS = 10_000
_TOO_MANY_FIELDS = peer_error(552, "5.3.4", "The message has too many header fields")
_SETTLED = (VerdictKind.ACCEPT, VerdictKind.DISCARD)


@frozen(eq=False)
class Milter:
    """A filter of a listener.  `most_body` is how many octets it may make of a message."""

    name: str
    settings: MilterSettings
    hostname: str
    version: str
    most_body: int
    reactor: Any

    def check(self, visit: Visit) -> "MilterCheck":
        """The filter at one connection."""
        return MilterCheck(self, visit)


@define(eq=False)
class MilterCheck(Check):
    """Tells a filter of a connection and does what it says.

    A filter that fails is not asked again at this connection; what that means is for
    `on_failure`.  One that accepts is not asked again about the message, or about anything
    if it did so before there was one.  What it discards is taken and thrown away.
    """

    milter: Milter
    visit: Visit
    reads_messages = True
    _values: MacroValues = field(init=False)
    _link: FilterLink | None = field(init=False, default=None)
    _talk: Conversation | None = field(init=False, default=None)
    _connecting: Deferred[FilterLink] | None = field(init=False, default=None)
    #: What was settled for all that comes, and for the message.
    _of_all: VerdictKind | None = field(init=False, default=None)
    _of_message: VerdictKind | None = field(init=False, default=None)
    _has_failed: bool = field(init=False, default=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._values = MacroValues(self.visit, self.milter.hostname, self.milter.version)

    async def connected(self) -> SmtpReply | None:
        return await self._ask_at_first(self._begin)

    async def greeted(self, name: str) -> SmtpReply | None:
        return await self._ask_at_first(lambda talk: talk.greeted(name))

    async def sender(self, address: str, parameters: dict[str, str | None]) -> SmtpReply | None:
        self._values.sender = address
        given = [f"{name}={value}" if value else name for name, value in parameters.items()]
        return await self._ask(lambda talk: talk.sender(address, given))

    async def recipient(self, address: str) -> SmtpReply | None:
        self._values.recipient = address
        return await self._ask(lambda talk: talk.recipient(address))

    async def content(self, start: MessageStart) -> SmtpReply | None:  # noqa: ARG002
        self._values.recipient = None
        return await self._ask(Conversation.data)

    async def message(self, message: HeldMessage) -> SmtpReply | None:
        fields = HeaderFields(message.header)
        if len(fields) > _MOST_FIELDS:
            return _TOO_MANY_FIELDS
        reply = await self._ask(lambda talk: self._show(talk, message, fields))
        if VerdictKind.DISCARD in (self._of_all, self._of_message):
            message.is_discarded = True
        return reply

    def transaction_ended(self) -> None:
        self._of_message = None
        self._values.sender = self._values.recipient = None
        if self._talk is not None:
            self._talk.abort()

    def disconnected(self) -> None:
        self._has_failed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._talk is not None and self._link is not None:
            self._talk.end()
            self._link.close()

    async def _begin(self, talk: Conversation) -> Verdict:
        address = parse_address(self.visit.peer)
        return await talk.connected(self._values.client_name, str(address or ""), self.visit.port)

    async def _ask_at_first(
        self, question: Callable[[Conversation], Coroutine[Any, Any, Verdict]]
    ) -> SmtpReply | None:
        """Ask while there is no message that the answer could be about."""
        reply = await self._ask(question)
        self._of_all, self._of_message = self._of_all or self._of_message, None
        return reply

    async def _ask(
        self, question: Callable[[Conversation], Coroutine[Any, Any, Verdict]]
    ) -> SmtpReply | None:
        """Ask, unless the filter has settled it; what the client is to be told."""
        if self._has_failed:
            return _ON_FAILURE[self.milter.settings.on_failure]
        if self._of_all or self._of_message:
            return None
        try:
            verdict = await question(await self._conversation())
            if verdict.kind is VerdictKind.FAIL:
                raise FilterGone("It says that it failed")
        except (BadPacket, FilterGone) as error:
            return self._fail(error)
        if verdict.kind in _SETTLED:
            self._of_message = verdict.kind
        return verdict.reply or _REPLIES.get(verdict.kind)

    async def _conversation(self) -> Conversation:
        if self._talk is None:
            self._connecting = Deferred.fromCoroutine(
                connect(self.milter.settings, self.milter.reactor)
            )
            self._link = await self._connecting
            self._connecting = None
            self._talk = Conversation(self._link, self._values)
            await self._talk.begin()
        return self._talk

    async def _show(
        self, talk: Conversation, message: HeldMessage, fields: HeaderFields
    ) -> Verdict:
        changes = Changes(message, talk.keeps_space, self.milter.most_body)
        verdict: Verdict | None = None
        try:
            async for said in talk.message(fields.pairs(), message.spool.body_chunks()):
                if isinstance(said, Verdict):
                    verdict = said
                else:
                    changes.make(said)
            assert verdict is not None
            if verdict.kind in (VerdictKind.CONTINUE, VerdictKind.ACCEPT):
                why = changes.finish()
                if why is not None:
                    self._say("{milter} puts a message into quarantine: {why}", why)
        finally:
            changes.close()
        return verdict

    def _fail(self, error: Exception) -> SmtpReply | None:
        if not self._has_failed:  # else the client has gone
            self._has_failed = True
            self._say("{milter} fails: {why}", str(error))
            if self._link is not None:
                self._link.abort("Given up")
        self._talk = None
        return _ON_FAILURE[self.milter.settings.on_failure]

    def _say(self, text: str, why: str) -> None:
        self._log.warn(
            text,
            milter=self.milter.name,
            why=why,
            listener=self.visit.listener,
            connection=self.visit.connection,
            peer=self.visit.peer,
        )

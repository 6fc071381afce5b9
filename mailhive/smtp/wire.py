"""The SMTP server as a machine without I/O (RFC 5321): bytes in, events and bytes out.

Its owner feeds it what the peer sends and takes events from it until there is
none, then writes `data_to_send`:

    machine.receive_data(octets)
    while (event := machine.next_event()) is not None:
        ...                                   # and machine.answer(reply), now or later
    transport.write(machine.data_to_send())

**Questions.**  Lookup, Authenticate, Recipient, MessageStart and MessageEnd are questions, and with
`Profile.checked` Connected, Hello and Sender as well.  While one is open, `waiting` is
true, no event comes and no further command is looked at, so replies leave in the order of
their commands however long an answer takes (RFC 2920 §3.2).  What arrives meanwhile is
kept; to bound it, the owner stops reading from the peer while `waiting` is true.

**Phases.**  A command is legal in the phases of its row; in others it is
refused with 503 (RFC 5321 §4.1.4) and changes nothing.

             START  READY  MAIL  RCPT  CHUNKS   then
    EHLO HELO  x      x      x     x     x      READY, the transaction dropped
    MAIL              x                         MAIL
    RCPT                     x     x            RCPT once one is accepted
    DATA                           x            content up to CRLF.CRLF, READY
    BDAT                           x     x      CHUNKS, READY after LAST
    RSET       x      x      x     x     x      READY (START stays), dropped
    STARTTLS          x                         START, everything forgotten
    AUTH              x                         unchanged, then authenticated
    NOOP VRFY HELP, QUIT: always                unchanged; QUIT closes

REFUSED is the phase of a client that was turned away: QUIT is all it can say
(RFC 5321 §3.1).  MAIL is the phase after MAIL until a recipient is accepted, CHUNKS the one
between the chunks of a message.  DATA and BDAT in MAIL get 554, as the sender
then knows that it is the recipients (RFC 5321 §3.3).

**Content** is handed on as it comes.  A fault in it (size, bare CR or LF, or
one that the owner reports with `refuse`) does not end it: the rest is read and
thrown away, so that what the peer sends as content is never taken for commands,
and the fault is the reply to the end of data or to the chunk.

**Closing.**  Once `closed` is true, nothing more is read; what is to be sent is
sent, then the connection ends.  Every 421 closes.

**Submission** (RFC 6409) is the same machine with `Profile.submission`: MAIL needs
AUTH before it and is a question too, and the parameters of submission are known.
AUTH is offered under TLS only.  `Profile` has what EHLO tells.

**LMTP** (RFC 2033) is the same machine with `Profile.lmtp`: LHLO takes the place of EHLO
and HELO, and the message is answered once for each recipient, so that MessageEnd
may be answered by a tuple of replies.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from attrs import evolve, frozen

from mailhive.model.envelope import Envelope
from mailhive.model.scram import ScramLogin
from mailhive.smtp import replies
from mailhive.smtp.commands import (
    CommandError,
    decode_line,
    parse_bdat,
    parse_hello,
    parse_mail,
    parse_rcpt,
)
from mailhive.smtp.content import Chunk
from mailhive.smtp.events import (
    Authenticate,
    Connected,
    Event,
    Hello,
    Lookup,
    MessageEnd,
    MessageStart,
    Recipient,
    Sender,
    StartTls,
    TransactionEnd,
)
from mailhive.smtp.incoming import Ended, Incoming
from mailhive.smtp.lines import AUTH_LINE_LIMIT, LINE_LIMIT, LONG_LINE_LIMIT, InputBuffer
from mailhive.smtp.login import Login
from mailhive.smtp.offer import Profile
from mailhive.smtp.replies import SmtpReply, peer_error
from mailhive.smtp.sasl import mechanisms

__all__ = ["Profile", "SmtpServer"]

#: First words of another protocol: a web page can make a browser send these.
_HTTP_VERBS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)

#: Commands that are known and not carried out (RFC 5321 §4.2.4).
_NOT_IMPLEMENTED = frozenset({"ETRN", "EXPN", "SAML", "SEND", "SOML", "TURN"})

#: Replies to commands that no well-behaved client sends.
_PROTOCOL_ERRORS = frozenset({500, 501, 502, 503, 504, 555})


class _Phase(Enum):
    REFUSED = auto()
    START = auto()
    READY = auto()
    MAIL = auto()
    RCPT = auto()
    CHUNKS = auto()


class SmtpServer:
    """One connection.  See the module's docstring."""

    def __init__(
        self,
        profile: Profile,
        *,
        peer: str = "",
        tls: bool = False,
        bindings: Callable[[], Mapping[str, bytes]] = dict,
    ) -> None:
        """`peer` is the client's address literal, told back to it; `tls`: TLS from the start.

        `bindings()` has the data of the channel bindings of TLS, by their types.
        """
        self._profile = profile
        self._bindings = bindings
        self._peer = peer
        self._input = InputBuffer(AUTH_LINE_LIMIT if profile.submission else LONG_LINE_LIMIT)
        self._out = bytearray()
        self._events: deque[Event] = deque()
        self._question: Event | None = None
        self._when_answered: Callable[[Any], None] | None = None
        self._errors = 0
        self._unknown = 0  # recipients that nobody here has
        self._draining = False
        self._eof = False
        self._starting_tls = False
        #: No more is read; see the module's docstring.
        self.closed = False
        #: Is the connection encrypted?
        self.tls = tls
        self._login = Login()
        self._hello = ""
        self._extended = False
        self._phase = _Phase.START
        self._envelope: Envelope | None = None  # there is one while a transaction is open
        self._is_greeted = not profile.checked
        self._spoke_first = False
        self._incoming = Incoming(self._input, profile.size_limit)
        # RFC 5321 §4.2, §4.3.1: the greeting starts with our name, without a status code.
        greeting = SmtpReply(220, None, f"{profile.hostname} ESMTP")
        if profile.checked:
            self._ask(Connected(), lambda refusal: self._reply(self._welcome(refusal) or greeting))
        else:
            self._reply(greeting)

    # What the owner calls

    def receive_data(self, data: bytes) -> None:
        """Take in what the peer sent."""
        if not self._is_greeted:
            self._spoke_first = True
        elif not self.closed:
            self._input.receive(data)

    def receive_eof(self) -> None:
        """The peer will send no more.  What it sent is still answered."""
        self._eof = True

    def next_event(self) -> Event | None:
        """The next event; None when an answer, TLS, more input or the end is waited for."""
        while not self._events:
            if self.waiting or self._starting_tls or self.closed:
                return None
            if not self._step():
                if self._eof:
                    self.close()
                    continue
                return None
        event = self._events.popleft()
        if event is self._question:
            self._question = None
        return event

    @property
    def waiting(self) -> bool:
        """Is an answer due?"""
        return self._when_answered is not None and self._question is None

    @property
    def expects_silence(self) -> bool:
        """Is the peer to wait for its greeting?  What it says before that is not kept."""
        return not (self._is_greeted or self._spoke_first)

    @property
    def receiving(self) -> bool:
        """Is it content, rather than a command, that the peer is to send?"""
        return self._incoming.receiving

    def answer(self, reply: SmtpReply | tuple[SmtpReply, ...] | ScramLogin | None = None) -> None:
        """Answer the question that is open."""
        when_answered = self._when_answered
        if when_answered is None:
            raise RuntimeError("no question is open")
        self._when_answered = None
        when_answered(reply)
        if self.closed:
            self._end_transaction(None)

    def refuse(self, reply: SmtpReply) -> None:
        """Find fault with the message that is coming in; the first fault counts."""
        self._incoming.refuse(reply)

    def tls_started(self) -> None:
        """From here on, input comes through TLS."""
        # RFC 3207 §4.2: the server MUST discard any knowledge obtained from the
        # client before.  Plaintext that slipped in would be such knowledge.
        self._input.clear()
        self._starting_tls = False
        self.tls = True
        self._login = Login()
        self._hello = ""
        self._extended = False
        self._phase = _Phase.START

    def shut_down(self) -> None:
        """Close with 421 as soon as no message is under way (RFC 5321 §3.8)."""
        self._draining = True

    def close(self, reply: SmtpReply | None = None) -> None:
        """Close now, with a last reply if there is one; a message under way is dropped."""
        if self.closed:
            return
        self.closed = True
        if reply is not None:
            self._out += reply.to_bytes()
        self._input.clear()
        if self._when_answered is None:  # else when the answer comes
            self._end_transaction(None)

    def data_to_send(self) -> bytes:
        """What is to be sent to the peer now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    # Replies and questions

    def _reply(self, reply: SmtpReply) -> None:
        if reply.code == 421:
            self.close(reply)
        elif not self.closed:
            self._out += reply.to_bytes()

    def _reply_error(self, reply: SmtpReply) -> None:
        self._errors += reply.code in _PROTOCOL_ERRORS
        if self._errors > self._profile.max_errors:
            reply = replies.TOO_MANY_ERRORS
        self._reply(reply)

    def _ask(self, question: Event, when_answered: Callable[[Any], None]) -> None:
        self._question = question
        self._when_answered = when_answered
        self._events.append(question)

    def _step(self) -> bool:
        """Do one thing with what is there.  False: more input is needed."""
        if self._incoming.receiving:
            return self._read_content()
        if self._login.reading:
            return self._read_response()
        if self._draining and self._phase is not _Phase.CHUNKS:
            self._reply(replies.SHUTTING_DOWN)
            return True
        return self._read_line()

    def _welcome(self, refusal: SmtpReply | None) -> SmtpReply | None:
        """Turn a client away if it is to be; what it is told."""
        self._is_greeted = True
        if refusal is None and self._spoke_first:
            refusal = replies.SPOKE_FIRST
        if refusal is not None and refusal.code >= 500:
            # RFC 5321 §3.1: 554, and then 503 until it quits.
            refusal = evolve(refusal, code=554, enhanced=None)
            self._phase = _Phase.REFUSED
        elif refusal is not None:
            refusal = evolve(refusal, code=421)  # RFC 5321 §3.8
        return refusal

    # Commands

    def _read_line(self) -> bool:
        try:
            line = self._input.line()
            if line is None:
                return False
            self._command(line)
        except CommandError as error:
            self._reply_error(error.reply)
        return True

    def _command(self, line: bytes) -> None:
        verb, argument = decode_line(line[:-2])
        if self._phase in (_Phase.REFUSED, _Phase.START) and verb in _HTTP_VERBS:
            raise CommandError(replies.NOT_HTTP)
        if verb in self._hellos_of_others():
            raise CommandError(replies.UNKNOWN_COMMAND)  # RFC 2033 §4.1
        if verb in _NOT_IMPLEMENTED or (verb == "AUTH" and not self._profile.submission):
            raise CommandError(replies.NOT_IMPLEMENTED)
        command = _COMMANDS.get(verb)
        if command is None:
            raise CommandError(replies.UNKNOWN_COMMAND)  # RFC 5321 §4.2.4
        if len(line) > command.line_limit:
            raise CommandError(replies.LINE_TOO_LONG)
        if argument and not command.takes_argument:
            raise CommandError(replies.NO_ARGUMENT_ALLOWED)  # RFC 5321 §4.1.1.5
        if self._phase not in command.phases:
            raise CommandError(self._out_of_phase(command.phases))
        command.run(self, argument)

    def _hellos_of_others(self) -> tuple[str, ...]:
        return ("EHLO", "HELO") if self._profile.lmtp else ("LHLO",)

    def _out_of_phase(self, phases: frozenset[_Phase]) -> SmtpReply:
        # RFC 5321 §4.1.4
        if self._phase is _Phase.START:
            return replies.EHLO_FIRST
        if self._phase is _Phase.MAIL and _Phase.RCPT in phases:
            return replies.NO_VALID_RECIPIENTS  # RFC 5321 §3.3
        return replies.BAD_SEQUENCE

    def _ehlo(self, argument: str) -> None:
        self._greet(argument, extended=True)

    def _helo(self, argument: str) -> None:
        self._greet(argument, extended=False)

    def _greet(self, argument: str, extended: bool) -> None:
        name = parse_hello(argument)

        def answered(refusal: SmtpReply | None) -> None:
            if refusal is not None:
                self._reply(refusal)  # RFC 5321 §4.1.4: nothing else changes
                return
            self._hello = name
            self._extended = extended
            self._end_transaction(None)  # RFC 5321 §4.1.4: EHLO resets like RSET
            self._phase = _Phase.READY
            self._reply(self._greeting())

        if self._profile.checked:
            self._ask(Hello(name), answered)
        else:
            answered(None)

    def _greeting(self) -> SmtpReply:
        if not self._extended:
            return SmtpReply(250, None, self._profile.hostname)
        # RFC 5321 §4.1.1.1: one keyword a line, the first line is for our name.
        greeting = f"{self._profile.hostname} greets {self._peer or self._hello}"
        offers_auth = self._profile.submission and self._may_authenticate
        keywords = self._profile.keywords(
            tls=self.tls, mechanisms=mechanisms(self._scram) if offers_auth else ()
        )
        return SmtpReply(250, None, "\n".join([greeting, *keywords]))

    def _mail(self, argument: str) -> None:
        submission = self._profile.submission
        if submission and not self._login.authenticated:
            raise CommandError(replies.AUTHENTICATION_REQUIRED)
        known = self._profile.mail_parameters(tls=self.tls) if self._extended else {}
        mail = parse_mail(argument, known, self._profile.size_limit)

        def answered(refusal: SmtpReply | None) -> None:
            if refusal is None:
                self._envelope = Envelope(mail.address, (), mail.parameters)
                self._phase = _Phase.MAIL
            self._reply(refusal or replies.SENDER_OK)

        if submission or self._profile.checked:
            self._ask(Sender(mail.address, mail.parameters), answered)
        else:
            answered(None)

    def _rcpt(self, argument: str) -> None:
        envelope = self._envelope
        assert envelope is not None
        utf8 = "SMTPUTF8" in envelope.parameters
        known = self._profile.rcpt_parameters() if self._extended else {}
        command = parse_rcpt(argument, known, utf8, self._profile.hostname)
        recipient = command.address
        if len(envelope.recipients) >= self._profile.max_recipients:
            raise CommandError(replies.TOO_MANY_RECIPIENTS)  # RFC 5321 §4.5.3.1.10

        def answered(refusal: SmtpReply | None) -> None:
            if refusal is None:
                given = envelope.recipient_parameters
                if command.parameters:
                    given = {**given, recipient: command.parameters}
                self._envelope = evolve(
                    envelope,
                    recipients=(*envelope.recipients, recipient),
                    recipient_parameters=given,
                )
                self._phase = _Phase.RCPT
            elif refusal.code == 550 and refusal.enhanced == "5.1.1":
                self._unknown += 1
                if self._unknown > self._profile.max_unknown_recipients:
                    refusal = replies.TOO_MANY_UNKNOWN
            self._reply(refusal or replies.RECIPIENT_OK)

        size = envelope.parameters.get("SIZE")
        self._ask(Recipient(recipient, None if size is None else int(size)), answered)

    def _data_command(self, _: str) -> None:
        def answered(refusal: SmtpReply | None) -> None:
            if refusal is None:
                self._incoming.begin_data()
                self._reply(replies.START_MAIL_INPUT)
            else:
                self._finish(refusal)

        self._ask(self._message_start(), answered)

    def _bdat(self, argument: str) -> None:
        try:
            command = parse_bdat(argument)
        except CommandError as error:
            # How many octets follow is not known, so nothing that follows can be
            # taken for a command.
            self.close(error.reply)
            return
        chunk = Chunk(command.size, command.last)
        if self._phase is _Phase.CHUNKS:
            self._incoming.take_chunk(chunk)
        elif self._phase is _Phase.RCPT:

            def answered(refusal: SmtpReply | None) -> None:
                self._phase = _Phase.CHUNKS
                self._incoming.begin_chunks(chunk, refusal)

            self._ask(self._message_start(), answered)
        else:
            # RFC 3030 §2: the octets are discarded before BDAT is refused.
            chunk.refusal = self._out_of_phase(_CHUNK_PHASES)
            self._incoming.take_chunk(chunk)

    def _rset(self, _: str) -> None:
        self._end_transaction(None)
        self._reply(replies.OK)

    def _starttls(self, _: str) -> None:
        if not self._profile.starttls:
            raise CommandError(replies.NOT_IMPLEMENTED)
        if self.tls:
            raise CommandError(replies.BAD_SEQUENCE)
        if self._input:
            # RFC 3207 §4: STARTTLS is the last command of a group.  What stands
            # behind it in clear may have been put there by somebody else.
            self.close(replies.PIPELINED_STARTTLS)
            return
        self._reply(replies.READY_TO_START_TLS)
        self._starting_tls = True
        self._events.append(StartTls())

    # AUTH (RFC 4954)

    @property
    def _may_authenticate(self) -> bool:
        return not self._login.authenticated and (self.tls or self._profile.auth_in_clear)

    @property
    def _scram(self) -> Mapping[str, bytes] | None:
        """The channel bindings for SCRAM, None where it is not offered."""
        if not self._profile.offers_scram():
            return None
        return self._bindings() if self.tls else {}

    def _auth(self, argument: str) -> None:
        if self._login.authenticated or not self._extended:
            raise CommandError(replies.BAD_SEQUENCE)
        if not self._may_authenticate:
            raise CommandError(replies.ENCRYPTION_REQUIRED)
        self._log_in(self._login.begin(argument, self._scram))

    def _read_response(self) -> bool:
        try:
            line = self._input.line()
            if line is None:
                return False
            self._log_in(self._login.take(line[:-2]))
        except CommandError as error:
            self._login.give_up()
            self._reply_error(error.reply)
        return True

    def _log_in(self, step: SmtpReply | Authenticate | Lookup) -> None:
        if isinstance(step, SmtpReply):
            self._reply(step)
        elif isinstance(step, Lookup):
            self._ask(step, lambda found: self._reply(self._login.found(step, found)))
        else:
            self._ask(step, lambda refusal: self._reply(self._login.judge(refusal)))

    def _vrfy(self, argument: str) -> None:
        if not argument:
            raise CommandError(peer_error(501, "5.5.4", "Syntax: VRFY address"))
        self._reply(replies.CANNOT_VERIFY)

    def _help(self, _: str) -> None:
        offered = {"STARTTLS": self._profile.starttls, "AUTH": self._profile.submission}
        offered |= dict.fromkeys(self._hellos_of_others(), False)
        verbs = [verb for verb in _COMMANDS if offered.get(verb, True)]
        self._reply(SmtpReply(214, "2.0.0", "Commands: " + " ".join(verbs)))

    def _noop(self, _: str) -> None:
        self._reply(replies.OK)

    def _quit(self, _: str) -> None:
        self.close(replies.BYE)

    # Content

    def _message_start(self) -> MessageStart:
        assert self._envelope is not None
        protocol = "SMTP"
        if self._extended:
            # RFC 3848; RFC 6531 §4.3
            utf8 = "SMTPUTF8" in self._envelope.parameters
            name = "LMTP" if self._profile.lmtp else ("SMTP" if utf8 else "ESMTP")
            protocol = ("UTF8" if utf8 else "") + name + ("S" if self.tls else "")
            protocol += "A" if self._login.authenticated else ""
        return MessageStart(self._envelope, self._hello, protocol)

    def _read_content(self) -> bool:
        match self._incoming.step():
            case None:
                return False
            case Ended(None):
                self._ask(MessageEnd(), self._finish)
            case Ended(fault):
                self._finish(fault)
            case SmtpReply() as reply:
                self._reply(reply)
            case event:
                self._events.append(event)
        return True

    def _finish(self, reply: SmtpReply | tuple[SmtpReply, ...] | None) -> None:
        answered = reply or replies.MESSAGE_ACCEPTED
        if not self._profile.lmtp or not self._incoming.has_message:
            assert isinstance(answered, SmtpReply)
            self._end_transaction(answered)
            self._reply(answered)
            return
        assert self._envelope is not None
        # RFC 2033 §4.2: one for each recipient that was accepted, in their order.
        count = len(self._envelope.recipients)
        each = answered if isinstance(answered, tuple) else (answered,) * count
        self._end_transaction(max(each, key=lambda one: one.code))
        for one in each:
            self._reply(one)

    def _end_transaction(self, reply: SmtpReply | None) -> None:
        if self._envelope is not None:
            self._events.append(TransactionEnd(self._envelope, reply))
            self._phase = _Phase.READY
        self._envelope = None
        self._incoming.forget()


@frozen
class _Command:
    """A row of the table in the module's docstring."""

    run: Callable[[SmtpServer, str], None]
    phases: frozenset[_Phase]
    takes_argument: bool = True
    line_limit: int = LINE_LIMIT


_ALWAYS = frozenset(_Phase)
_ANY = _ALWAYS - {_Phase.REFUSED}
_READY_PHASE = frozenset({_Phase.READY})
_RCPT_PHASES = frozenset({_Phase.MAIL, _Phase.RCPT})
_DATA_PHASES = frozenset({_Phase.RCPT})
_CHUNK_PHASES = frozenset({_Phase.RCPT, _Phase.CHUNKS})

_COMMANDS = {
    "EHLO": _Command(SmtpServer._ehlo, _ANY),
    "HELO": _Command(SmtpServer._helo, _ANY),
    "LHLO": _Command(SmtpServer._ehlo, _ANY),
    "MAIL": _Command(SmtpServer._mail, _READY_PHASE, line_limit=LONG_LINE_LIMIT),
    "RCPT": _Command(SmtpServer._rcpt, _RCPT_PHASES, line_limit=LONG_LINE_LIMIT),
    "DATA": _Command(SmtpServer._data_command, _DATA_PHASES, takes_argument=False),
    "BDAT": _Command(SmtpServer._bdat, _ALWAYS),  # checks its phase itself
    "RSET": _Command(SmtpServer._rset, _ANY, takes_argument=False),
    "NOOP": _Command(SmtpServer._noop, _ANY),
    "VRFY": _Command(SmtpServer._vrfy, _ANY),
    "HELP": _Command(SmtpServer._help, _ANY),
    "STARTTLS": _Command(SmtpServer._starttls, _READY_PHASE, takes_argument=False),
    "AUTH": _Command(SmtpServer._auth, _READY_PHASE, line_limit=AUTH_LINE_LIMIT),
    "QUIT": _Command(SmtpServer._quit, _ALWAYS, takes_argument=False),
}

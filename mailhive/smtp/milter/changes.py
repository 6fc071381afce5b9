"""What filters change of a message: its header, envelope and body."""

import re
from collections.abc import Iterable

from attrs import define, evolve, field

from mailhive.model.envelope import Envelope
from mailhive.smtp.checks import HeldMessage
from mailhive.smtp.commands import DSN_RCPT_PARAMETERS, CommandError, parse_rcpt
from mailhive.smtp.milter.packets import (
    AddHeader,
    AddRecipient,
    BadPacket,
    Change,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    InsertHeader,
    Quarantine,
    ReplaceBody,
)
from mailhive.smtp.spool import Spool

__all__ = ["Changes", "HeaderFields"]

_FIELD = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*(?:\n|\Z))*|[^\n]+\Z")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_LINE_END = re.compile(rb"[\r\n]+")
#: Octets of header fields that one filter may add.
_MOST_HEADER = 2_000_000


class HeaderFields:
    """A header section as a list of fields that may be changed."""

    def __init__(self, header: bytes) -> None:
        self._fields: list[bytes] = _FIELD.findall(header)

    def __len__(self) -> int:
        return len(self._fields)

    def pairs(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values as they are written behind the colon; lines that are none aside."""
        for each in self._fields:
            if match := _NAME.match(each):
                yield match[1], each[match.end() :].rstrip(b"\r\n")

    def to_bytes(self) -> bytes:
        return b"".join(self._fields)

    def add(self, name: bytes, value: bytes) -> None:
        """Put a field behind all others."""
        self._fields.append(_field(name, value))

    def insert(self, index: int, name: bytes, value: bytes) -> None:
        """Put a field behind that many others."""
        self._fields.insert(index, _field(name, value))

    def change(self, index: int, name: bytes, value: bytes) -> None:
        """Give the field of that name and number another value; without one, take it out.

        If there is none of that number it is added.
        """
        places = [i for i, each in enumerate(self._fields) if _is_named(each, name)]
        number = max(index, 1) - 1
        if number >= len(places):
            if value:
                self.add(name, value)
        elif value:
            self._fields[places[number]] = _field(name, value)
        else:
            del self._fields[places[number]]


def _is_named(each: bytes, name: bytes) -> bool:
    match = _NAME.match(each)
    return match is not None and match[1].lower() == name.lower()


def _field(name: bytes, value: bytes) -> bytes:
    """A field whose value has a space in front; whatever ends a line in it is made a fold."""
    lines = [line for line in _LINE_END.split(value.replace(b"\0", b"")) if line.strip()]
    first, *others = lines or [b""]
    folded = (line if line[:1] in (b" ", b"\t") else b"\t" + line for line in others)
    return b"\r\n".join([name + b":" + first, *folded, b""])


@define(eq=False)
class Changes:
    """What one filter changes: nothing before `finish`, and nothing after `close`.

    With `keeps_space` values of header fields come with the space that stands in front of
    them.  A body of more than `most_body` octets is a `BadPacket`.
    """

    message: HeldMessage
    keeps_space: bool
    most_body: int
    _fields: HeaderFields = field(init=False)
    _envelope: Envelope = field(init=False)
    _body: Spool | None = field(init=False, default=None)
    _size: int = field(init=False, default=0)
    _added: int = field(init=False, default=0)
    _reason: str | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._fields = HeaderFields(self.message.header)
        self._envelope = self.message.envelope

    def make(self, change: Change) -> None:
        """Note one change."""
        match change:
            case AddHeader(name, value):
                self._fields.add(name, self._spaced(value))
            case InsertHeader(index, name, value):
                self._fields.insert(index, name, self._spaced(value))
            case ChangeHeader(index, name, value):
                self._fields.change(index, name, self._spaced(value) if value else b"")
            case ReplaceBody(data):
                self._replace(data)
            case Quarantine(reason):
                self._reason = reason
            case AddRecipient() | DeleteRecipient() | ChangeSender():
                self._envelope = _readdressed(self._envelope, change)

    def finish(self) -> str | None:
        """Change the message.  Why it goes into the mailbox for junk, if it does."""
        self.message.header = self._fields.to_bytes()
        self.message.envelope = self._envelope
        if self._body is not None:
            self.message.spool.take_body(self._body)
        if self._reason is not None:
            self.message.is_junk = True
        return self._reason

    def close(self) -> None:
        """Forget what was noted."""
        if self._body is not None:
            self._body.close()

    def _spaced(self, value: bytes) -> bytes:
        self._added += len(value)
        if self._added > _MOST_HEADER:
            raise BadPacket("more of a header than there can be")
        return value if self.keeps_space else b" " + value

    def _replace(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self.most_body:
            raise BadPacket("a body that is too long")
        if self._body is None:
            self._body = self.message.spool.another()
        self._body.write(data)


def _readdressed(
    envelope: Envelope, change: AddRecipient | DeleteRecipient | ChangeSender
) -> Envelope:
    recipients = envelope.recipients
    match change:
        case ChangeSender(address):
            return evolve(envelope, mail_from=address)
        case DeleteRecipient(address):
            left = tuple(each for each in recipients if each != address)
            return evolve(envelope, recipients=left)
        case AddRecipient(address, parameters) if address not in recipients:
            given = envelope.recipient_parameters
            if parameters:
                given = {**given, address: _parameters(parameters)}
            return evolve(envelope, recipients=(*recipients, address), recipient_parameters=given)
    return envelope


def _parameters(text: str) -> dict[str, str | None]:
    """Those of DSN, as a client could give them with RCPT."""
    try:
        return parse_rcpt(f"TO:<a@b> {text}", DSN_RCPT_PARAMETERS, True, "").parameters
    except CommandError as error:
        raise BadPacket(f"parameters of a recipient: {error.reply.text}") from None

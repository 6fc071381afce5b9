"""Packets of the milter protocol: between a mail server and a filter.

A packet is its length in four octets, a letter that says what it is, and data.  What
they mean is known from libmilter, which Sendmail brings; no RFC has it.
"""

import re
from enum import Enum, IntEnum, IntFlag
from struct import Struct

from attrs import frozen

from mailhive.model.paths import PathError, parse_path
from mailhive.smtp.replies import SmtpReply

__all__ = [
    "CHUNK",
    "Actions",
    "AddHeader",
    "AddRecipient",
    "BadPacket",
    "Change",
    "ChangeHeader",
    "ChangeSender",
    "DeleteRecipient",
    "InsertHeader",
    "Packet",
    "PacketReader",
    "Protocol",
    "Quarantine",
    "ReplaceBody",
    "Stage",
    "Verdict",
    "VerdictKind",
    "packet",
    "parse_change",
    "parse_verdict",
]

#: Octets of a body that go into one packet.
CHUNK = 65_535
#: Octets of a packet that a filter may send.
_LONGEST = 1_048_576
_NUMBER = Struct("!I")


class Actions(IntFlag):
    """What a filter may ask for at the end of a message."""

    ADD_HEADER = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENT = 0x04
    DELETE_RECIPIENT = 0x08
    CHANGE_HEADER = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENT_WITH_PARAMETERS = 0x80
    CHOOSE_MACROS = 0x100


class Protocol(IntFlag):
    """What a filter does not want to be told, and what it will not answer."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000


class Stage(IntEnum):
    """When macros are told."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END_OF_MESSAGE = 5
    END_OF_HEADER = 6


class BadPacket(ValueError):
    """A filter does not speak the protocol; str() says what it sent."""


@frozen
class Packet:
    """What a filter sends: a letter, and data."""

    code: bytes
    data: bytes


class VerdictKind(Enum):
    """What ends the answer of a filter."""

    CONTINUE = b"c"
    ACCEPT = b"a"
    DISCARD = b"d"
    REJECT = b"r"
    TEMPFAIL = b"t"
    REPLY = b"y"
    SKIP = b"s"
    FAIL = b"f"
    SHUTDOWN = b"4"


@frozen
class Verdict:
    """An answer; with REPLY what the client is to be told."""

    kind: VerdictKind
    reply: SmtpReply | None = None


@frozen
class AddRecipient:
    address: str
    parameters: str = ""


@frozen
class DeleteRecipient:
    address: str


@frozen
class ChangeSender:
    address: str


@frozen
class AddHeader:
    """At the end of the header section."""

    name: bytes
    value: bytes


@frozen
class InsertHeader:
    """`index` counts the fields that come before it."""

    index: int
    name: bytes
    value: bytes


@frozen
class ChangeHeader:
    """Of the fields of that name the one with that number, from 1 on; b"" takes it out."""

    index: int
    name: bytes
    value: bytes


@frozen
class ReplaceBody:
    """The next octets of another body."""

    data: bytes


@frozen
class Quarantine:
    reason: str


Change = (
    AddHeader
    | AddRecipient
    | ChangeHeader
    | ChangeSender
    | DeleteRecipient
    | InsertHeader
    | Quarantine
    | ReplaceBody
)

#: What has to be agreed on before a filter may send it.
_NEEDS = {
    b"h": Actions.ADD_HEADER,
    b"i": Actions.ADD_HEADER,
    b"m": Actions.CHANGE_HEADER,
    b"b": Actions.CHANGE_BODY,
    b"+": Actions.ADD_RECIPIENT,
    b"2": Actions.ADD_RECIPIENT_WITH_PARAMETERS,
    b"-": Actions.DELETE_RECIPIENT,
    b"e": Actions.CHANGE_SENDER,
    b"q": Actions.QUARANTINE,
}
_NAME = re.compile(rb"[!-9;-~]{1,512}")
_REPLY = re.compile(r"([45][0-9][0-9])(?:[ -](.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([45]\.[0-9]{1,3}\.[0-9]{1,3}) ?")


def packet(code: bytes, *parts: bytes) -> bytes:
    """A packet on the wire."""
    size = 1 + sum(map(len, parts))
    return b"".join((_NUMBER.pack(size), code, *parts))


class PacketReader:
    """Octets in, packets out."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def receive(self, data: bytes) -> list[Packet]:
        """The packets that these octets complete; `BadPacket` if they cannot be some."""
        self._octets += data
        found = []
        while len(self._octets) >= _NUMBER.size:
            (size,) = _NUMBER.unpack_from(self._octets)
            if not 1 <= size <= _LONGEST:
                raise BadPacket(f"a packet of {size} octets")
            end = _NUMBER.size + size
            if len(self._octets) < end:
                break
            content = bytes(self._octets[_NUMBER.size : end])
            del self._octets[:end]
            found.append(Packet(content[:1], content[1:]))
        return found


def parse_verdict(answer: Packet) -> Verdict | None:
    """None if the packet is no verdict; `BadPacket` if it is one that cannot be read."""
    try:
        kind = VerdictKind(answer.code)
    except ValueError:
        return None
    return Verdict(kind, _reply(answer.data) if kind is VerdictKind.REPLY else None)


def _reply(data: bytes) -> SmtpReply:
    """`550 5.7.1 text`, or several such lines.  A percent sign is doubled in it."""
    text = data.rstrip(b"\0").decode("utf-8", "replace").replace("%%", "%")
    matches = [_REPLY.fullmatch(line) for line in text.rstrip("\r\n").splitlines()]
    codes = {match and match[1] for match in matches}
    code = codes.pop() if len(codes) == 1 else None
    if code is None:
        raise BadPacket(f"a reply that is none: {text[:60]!r}")
    lines = [match[2] or "" for match in matches if match]
    enhanced = _ENHANCED.match(lines[0])
    if enhanced is None or enhanced[1][0] != code[0]:
        return SmtpReply(int(code), f"{code[0]}.7.1", "\n".join(lines))
    lines = [_ENHANCED.sub("", line, count=1) for line in lines]
    return SmtpReply(int(code), enhanced[1], "\n".join(lines))


def parse_change(answer: Packet, allowed: Actions) -> Change:
    """A change of the message; `BadPacket` for what is none or was not agreed on."""
    code, data = answer.code, answer.data
    needs = _NEEDS.get(code)
    if needs is None or not needs & allowed:
        raise BadPacket(f"{code!r}, which was not agreed on")
    if code == b"b":
        return ReplaceBody(data)
    if code in b"im":
        (index,) = _NUMBER.unpack(_taken(data, _NUMBER.size))
        name, value = _header(data[_NUMBER.size :])
        return (InsertHeader if code == b"i" else ChangeHeader)(index, name, value)
    if code == b"h":
        return AddHeader(*_header(data))
    texts = [text.decode("utf-8", "replace") for text in _strings(data)]
    if code == b"q":
        return Quarantine(texts[0])
    address = _address(texts[0], may_be_empty=code == b"e")
    if code == b"e":
        return ChangeSender(address)
    if code == b"-":
        return DeleteRecipient(address)
    return AddRecipient(address, texts[1] if len(texts) > 1 else "")


def _taken(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise BadPacket("a packet that is too short")
    return data[:size]


def _strings(data: bytes) -> list[bytes]:
    """Strings that end with a NUL each; the last may lack it."""
    return data.removesuffix(b"\0").split(b"\0")


def _header(data: bytes) -> tuple[bytes, bytes]:
    name, *values = _strings(data)
    if len(values) != 1 or not _NAME.fullmatch(name):
        raise BadPacket(f"a header field that is none: {name[:60]!r}")
    return name, values[0]


def _address(text: str, *, may_be_empty: bool) -> str:
    text = text if text.startswith("<") else f"<{text}>"
    try:
        address, rest = parse_path(text)
    except PathError:
        address, rest = "", "no path"
    if rest or not (may_be_empty if not address else "@" in address):
        raise BadPacket(f"an address that is none: {text[:60]!r}")
    return address

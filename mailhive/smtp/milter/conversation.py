"""What a mail server and a filter say to each other, without I/O.

A `Conversation` tells one filter of one SMTP connection, step by step, and says what the
filter makes of it.  How octets travel is up to the `Link`.

Both sides first agree on a version, on what the filter may change, on what it does not
want to be told and will not answer, and on the macros of each stage:

    connected, greeted           once, and again after STARTTLS
    sender, recipient..., data   each may be refused
    message                      header fields, body and end; then come the changes
    abort                        what `sender` began is over, at any time

Commands that are unknown and recipients that are refused are not told, and the filter is
told so.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from struct import Struct
from typing import Protocol as Interface

from attrs import define, field, frozen

from mailhive.smtp.milter.macros import DEFAULTS
from mailhive.smtp.milter.packets import (
    CHUNK,
    Actions,
    BadPacket,
    Change,
    Packet,
    Protocol,
    Stage,
    Verdict,
    VerdictKind,
    packet,
    parse_change,
    parse_verdict,
)

__all__ = ["CONTINUE", "Conversation", "Link"]

_VERSION = 6
_OLDEST = 2
_OPTIONS = Struct("!III")
_STAGE = Struct("!I")
_ALL_ACTIONS = Actions(0x1FF)
_ALL_PROTOCOL = Protocol(0x1FF7FF)
#: What version 2 knows of them.
_OLD_ACTIONS = Actions(0x3F)
_OLD_PROTOCOL = Protocol(0x7F)

#: Names of macros that one stage has.
_MOST_MACROS = 100
#: Changes of one message, those of its body aside.
_MOST_CHANGES = 1_000

CONTINUE = Verdict(VerdictKind.CONTINUE)
#: Gives the value of a macro, if there is one.
Macros = Callable[[str], str | None]


class Link(Interface):
    """The way to a filter."""

    def send(self, octets: bytes) -> None:
        """Send, without waiting."""

    async def ready(self) -> None:
        """Wait until the filter takes more."""

    async def receive(self, *, patient: bool = False) -> Packet:
        """The next packet.  `patient` at the end of a message, when filters do their work."""


@frozen
class _Step:
    """A command, and the flags by which a filter does not want it or will not answer."""

    code: bytes
    unwanted: Protocol
    silent: Protocol
    stage: Stage | None = None


_CONNECT = _Step(b"C", Protocol.NO_CONNECT, Protocol.SILENT_CONNECT, Stage.CONNECT)
_HELO = _Step(b"H", Protocol.NO_HELO, Protocol.SILENT_HELO, Stage.HELO)
_MAIL = _Step(b"M", Protocol.NO_MAIL, Protocol.SILENT_MAIL, Stage.MAIL)
_RCPT = _Step(b"R", Protocol.NO_RCPT, Protocol.SILENT_RCPT, Stage.RCPT)
_DATA = _Step(b"T", Protocol.NO_DATA, Protocol.SILENT_DATA, Stage.DATA)
_HEADER = _Step(b"L", Protocol.NO_HEADERS, Protocol.SILENT_HEADER)
_END_OF_HEADER = _Step(
    b"N", Protocol.NO_END_OF_HEADER, Protocol.SILENT_END_OF_HEADER, Stage.END_OF_HEADER
)
_BODY = _Step(b"B", Protocol.NO_BODY, Protocol.SILENT_BODY)


@define(eq=False)
class Conversation:
    """`BadPacket` and what the link raises end it; nothing may be asked after that."""

    _link: Link
    _macros: Macros
    _actions: Actions = field(init=False, default=Actions(0))
    _protocol: Protocol = field(init=False, default=Protocol(0))
    _chosen: dict[Stage, tuple[str, ...]] = field(init=False, factory=dict)
    _in_transaction: bool = field(init=False, default=False)

    async def begin(self) -> None:
        """Agree on the options."""
        self._link.send(packet(b"O", _OPTIONS.pack(_VERSION, _ALL_ACTIONS, _ALL_PROTOCOL)))
        answer = await self._link.receive()
        if answer.code != b"O" or len(answer.data) < _OPTIONS.size:
            raise BadPacket(f"{answer.code!r} in answer to the offer of options")
        version, actions, protocol = _OPTIONS.unpack_from(answer.data)
        if not _OLDEST <= version <= _VERSION:
            raise BadPacket(f"version {version} of the protocol")
        # As numbers: the complement of a flag knows nothing of bits that have no name.
        if actions & ~int(_ALL_ACTIONS) or protocol & ~int(_ALL_PROTOCOL):
            raise BadPacket(f"options that were not offered: {actions:#x}, {protocol:#x}")
        self._actions, self._protocol = Actions(actions), Protocol(protocol)
        if version == _OLDEST:
            self._actions &= _OLD_ACTIONS
            self._protocol &= _OLD_PROTOCOL
        if version < 4:
            self._protocol |= Protocol.NO_DATA
        self._choose(answer.data[_OPTIONS.size :])

    def _choose(self, data: bytes) -> None:
        """Which macros the filter wants to have at which stage."""
        while len(data) > _STAGE.size:
            (stage,) = _STAGE.unpack_from(data)
            names, _, data = data[_STAGE.size :].partition(b"\0")
            wanted = names.decode("ascii", "replace").replace(",", " ").split()
            with suppress(ValueError):  # a stage that we do not know
                self._chosen[Stage(stage)] = tuple(wanted[:_MOST_MACROS])

    async def connected(self, name: str, address: str, port: int) -> Verdict:
        """A client is there; `address` is "" if it has none."""
        family = b"U" if not address else (b"6" if ":" in address else b"4")
        where = port.to_bytes(2, "big") + _string(address) if address else b""
        return await self._tell(_CONNECT, _string(name), family, where)

    async def greeted(self, name: str) -> Verdict:
        return await self._tell(_HELO, _string(name))

    async def sender(self, address: str, parameters: Iterable[str]) -> Verdict:
        self._in_transaction = True
        return await self._tell(_MAIL, _string(f"<{address}>"), *map(_string, parameters))

    async def recipient(self, address: str, parameters: Iterable[str] = ()) -> Verdict:
        return await self._tell(_RCPT, _string(f"<{address}>"), *map(_string, parameters))

    async def data(self) -> Verdict:
        return await self._tell(_DATA)

    async def message(
        self, fields: Iterable[tuple[bytes, bytes]], body: Iterable[bytes]
    ) -> AsyncIterator[Change | Verdict]:
        """Show a message; what the filter changes comes first, its verdict last.

        `fields` are names and values without the line end, as they stand behind the colon.
        """
        verdict = await self._content(fields, body)
        if verdict.kind is not VerdictKind.CONTINUE:
            yield verdict
            return
        self._define(Stage.END_OF_MESSAGE, b"E")
        self._link.send(packet(b"E"))
        changes = 0
        while True:
            answer = await self._answer(patient=True)
            found = parse_verdict(answer)
            if found is not None:
                self._in_transaction = False
                yield found
                return
            change = parse_change(answer, self._actions)
            changes += answer.code != b"b"
            if changes > _MOST_CHANGES:
                raise BadPacket("more changes than a message can have")
            yield change

    @property
    def keeps_space(self) -> bool:
        """Do values of header fields begin with the space behind the colon?"""
        return bool(self._protocol & Protocol.LEADING_SPACE)

    def abort(self) -> None:
        """What `sender` began is over without `message` having come to its end."""
        if self._in_transaction:
            self._in_transaction = False
            self._link.send(packet(b"A"))

    def end(self) -> None:
        """The client has gone."""
        self._link.send(packet(b"Q"))

    async def _content(
        self, fields: Iterable[tuple[bytes, bytes]], body: Iterable[bytes]
    ) -> Verdict:
        for name, value in fields:
            if not self.keeps_space:
                value = value.removeprefix(b" ")
            text = value.replace(b"\r\n", b"\n").replace(b"\0", b"")
            verdict = await self._tell(_HEADER, name + b"\0", text + b"\0")
            if verdict.kind is VerdictKind.SKIP:
                break
            if verdict.kind is not VerdictKind.CONTINUE:
                return verdict
        verdict = await self._tell(_END_OF_HEADER)
        if verdict.kind not in (VerdictKind.CONTINUE, VerdictKind.SKIP):
            return verdict
        if self._protocol & _BODY.unwanted:
            return CONTINUE
        for chunk in _chunks(body):
            verdict = await self._tell(_BODY, chunk)
            if verdict.kind is VerdictKind.SKIP:
                break
            if verdict.kind is not VerdictKind.CONTINUE:
                return verdict
        return CONTINUE

    async def _tell(self, step: _Step, *data: bytes) -> Verdict:
        if step.unwanted & self._protocol:
            return CONTINUE
        if step.stage is not None:
            self._define(step.stage, step.code)
        self._link.send(packet(step.code, *data))
        if step.silent & self._protocol:
            await self._link.ready()
            return CONTINUE
        answer = await self._answer()
        verdict = parse_verdict(answer)
        if verdict is None:
            raise BadPacket(f"{answer.code!r} in answer to {step.code!r}")
        return verdict

    async def _answer(self, *, patient: bool = False) -> Packet:
        """The next packet that says something: `p` only asks for more time."""
        while (answer := await self._link.receive(patient=patient)).code == b"p":
            pass
        return answer

    def _define(self, stage: Stage, code: bytes) -> None:
        """Tell the macros of a stage, before its command."""
        names = self._chosen.get(stage, DEFAULTS[stage])
        told = [(name, value) for name in names if (value := self._macros(name)) is not None]
        strings = (_string(text) for pair in told for text in pair)
        self._link.send(packet(b"D", code, *strings))


def _string(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "replace") + b"\0"


def _chunks(body: Iterable[bytes]) -> Iterable[bytes]:
    for piece in body:
        for start in range(0, len(piece), CHUNK):
            yield piece[start : start + CHUNK]

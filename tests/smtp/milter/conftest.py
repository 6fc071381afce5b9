"""A filter made of kilter.protocol, which others wrote, and listeners that ask it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attrs import define, field
from kilter.protocol import messages
from kilter.protocol.buffer import SimpleBuffer
from kilter.protocol.core import FilterProtocol
from kilter.protocol.exceptions import UnexpectedMessage
from kilter.protocol.messages import ActionFlags, Continue, Message, Negotiate, ProtocolFlags
from pytest_twisted import async_yield_fixture
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

from mailhive.config.milter import MilterSettings
from mailhive.smtp.listener import LMTP, PROVIDER
from mailhive.smtp.policy import LmtpSettings, MxSettings
from mailhive.testing.memory import MemoryDelivery

ADDRESSES = ("b@mx.example", "c@mx.example", "d@mx.example")

#: What is said in answer to a message of that name; None says nothing, b"" hangs up.
Answers = dict[str, list[Message | bytes | None]]


@define
class Filter:
    """Answers by `answers`, else goes on; `said` is what it was told."""

    answers: Answers = field(factory=dict)
    version: int = 6
    actions: ActionFlags = ActionFlags.ALL
    protocol: ProtocolFlags = ProtocolFlags.NONE
    macros: dict[messages.Stage, list[str]] = field(factory=dict)
    said: list[tuple[Any, ...]] = field(factory=list)
    connections: list[Deferred[None]] = field(factory=list)

    def names(self) -> str:
        """What it was told, macros aside, by the names of the messages."""
        return " ".join(said[0] for said in self.said if said[0] != "Macro")

    def told(self, name: str) -> list[tuple[Any, ...]]:
        """What messages of that name held."""
        return [said[1:] for said in self.said if said[0] == name]


class FilterConnection(Protocol):
    transport: Any

    def __init__(self, owner: Filter) -> None:
        self.owner = owner
        self.ended: Deferred[None] = Deferred()
        owner.connections.append(self.ended)
        self.machine = FilterProtocol()
        self.buffer = SimpleBuffer(4_000_000)

    def dataReceived(self, data: bytes) -> None:
        self.buffer[:] = data
        for message in self._messages():
            self.note(message)
            if self.machine.needs_response(message):
                self.answer(message)

    def _messages(self) -> Iterator[Message]:
        with suppress(UnexpectedMessage):  # the end may come while an answer is due
            yield from self.machine.read_from(self.buffer)

    def connectionLost(self, _: Any = None) -> None:
        self.ended.callback(None)

    def note(self, message: Message) -> None:
        said: tuple[Any, ...]
        match message:
            case messages.Macro(stage, macros):
                said = (chr(stage), dict(macros))
            case messages.Connect(hostname, address, port):
                said = (hostname, address, port)
            case messages.Helo(hostname):
                said = (hostname,)
            case messages.EnvelopeFrom(address, arguments):
                said = (bytes(address), *map(bytes, arguments))
            case messages.EnvelopeRecipient(address, arguments):
                said = (bytes(address), *map(bytes, arguments))
            case messages.Header(name, value):
                said = (name, bytes(value))
            case messages.Body(content=content):
                said = (bytes(content),)
            case _:
                said = ()
        self.owner.said.append((type(message).__name__, *said))

    def answer(self, message: Message) -> None:
        owner = self.owner
        if isinstance(message, Negotiate):
            offer = Negotiate(owner.version, owner.actions, owner.protocol, owner.macros)
            answers = owner.answers.get("Negotiate", [offer])
        else:
            answers = owner.answers.get(type(message).__name__, [Continue()])
        for each in answers:
            if each == b"":
                self.transport.loseConnection()
            elif isinstance(each, bytes):
                self.transport.write(each)
            elif each is not None:
                out = SimpleBuffer(1_000_000)
                self.machine.write_to(out, each)
                self.transport.write(bytes(out[:]))


@define
class Listener:
    """An SMTP listener whose messages go through filters."""

    port: int
    services: Any
    filters: tuple[Filter, ...]
    factory: Any

    async def settle(self) -> None:
        """Wait until all filters have heard that their clients are gone."""
        for each in self.filters:
            for ended in each.connections:
                await ended

    @property
    def delivered(self) -> list[tuple[Any, bool, bytes]]:
        """Envelope, junk or not, and the message behind its trace fields."""
        blobs = self.services.blobs._blobs
        return [
            (
                each.envelope,
                each.arrival.is_junk,
                blobs[each.blob_id].content.partition(b" +0000\r\n")[2],
            )
            for each in self.services.delivery.delivered
        ]


@async_yield_fixture
async def new_listener(
    tmp_path: Path, new_services: Callable[[], Any]
) -> AsyncIterator[Callable[..., Any]]:
    """`await new_listener(Filter(), on_failure="reject")`."""
    ports: list[Any] = []
    factories: list[Any] = []

    async def listen(factory: Any) -> int:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        ports.append(port)
        number: int = port.getHost().port
        return number

    async def build(
        *filters: Filter, lmtp: bool = False, address: str = "", **settings: Any
    ) -> Listener:
        tables = {}
        for number, owner in enumerate(filters):
            factory = Factory.forProtocol(lambda owner=owner: FilterConnection(owner))
            factory.noisy = False
            given = address or f"tcp:127.0.0.1:{await listen(factory)}"
            tables[f"filter{number}"] = MilterSettings(address=given, **settings)
        if address and not filters:
            tables["filter0"] = MilterSettings(address=address, **settings)
        services = new_services()
        services.delivery = MemoryDelivery(ADDRESSES)
        services.resolver = None
        services.config = SimpleNamespace(milter=tables, server=SimpleNamespace(data_dir=tmp_path))
        provider, kind = (LMTP, LmtpSettings) if lmtp else (PROVIDER, MxSettings)
        listener = SimpleNamespace(
            settings=kind(milters=tuple(tables), max_message_size=1_000_000),
            tls="none",
            context_factory=None,
        )
        factory = provider.build(None, None).make_factory("mx", listener, services, reactor)
        factories.append(factory)
        return Listener(await listen(factory), services, filters, factory)

    yield build
    for factory in factories:
        await factory.drain(0.1)
    for port in ports:
        await port.stopListening()


LOOPBACK = IPv4Address("127.0.0.1")

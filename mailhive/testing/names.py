"""A DNS server on the loopback with records of one's own, for tests.

    names = NameServer({"example.org": {"MX": [(10, "mx.example.org")]},
                        "mx.example.org": {"A": ["127.0.0.1"]}})
    await names.start(reactor)
    resolver = names.resolver(reactor)

A name that is not there does not exist; one in `failing` gets SERVFAIL.  Names in and below
those in `signed` count as validated: the AD bit tells who asks for it (RFC 6840 §5.7).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import fail, gatherResults, succeed
from twisted.internet.error import CannotListenError
from twisted.names import dns, server
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError

from mailhive.names import TLSA, ValidatedNames

__all__ = ["NameServer"]

_MOST_ALIASES = 10
_MAKERS: dict[str, Any] = {
    "A": lambda value: dns.Record_A(value, ttl=0),
    "AAAA": lambda value: dns.Record_AAAA(value, ttl=0),
    "MX": lambda value: dns.Record_MX(value[0], value[1].rstrip("."), ttl=0),
    "CNAME": lambda value: dns.Record_CNAME(value, ttl=0),
    "PTR": lambda value: dns.Record_PTR(value, ttl=0),
    "TLSA": lambda value: dns.UnknownRecord(bytes(value[:3]) + value[3], ttl=0),
    "TXT": lambda value: dns.Record_TXT(
        *[value[i : i + 255].encode() for i in range(0, len(value), 255)], ttl=0
    ),
}


@define(eq=False)
class NameServer:
    """`records` by name and type; may change while it runs.  `asked` has every question."""

    records: Mapping[str, Mapping[str, Sequence[Any]]]
    failing: set[str] = Factory(set)
    signed: set[str] = Factory(set)
    asked: list[tuple[str, str]] = Factory(list)
    _ports: list[Any] = Factory(list)

    async def start(self, reactor: Any) -> None:
        """Listen on a free port, UDP and TCP."""
        factory = _Factory(self)
        while not self._ports:
            udp = reactor.listenUDP(0, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
            try:
                tcp = reactor.listenTCP(udp.getHost().port, factory, interface="127.0.0.1")
            except CannotListenError:  # somebody else has the same port for TCP
                await udp.stopListening()
            else:
                self._ports = [udp, tcp]

    async def stop(self) -> None:
        await gatherResults([port.stopListening() for port in self._ports])

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._ports[0].getHost().port)

    def resolver(self, reactor: Any) -> Any:
        """An `IResolver` that asks this server and remembers nothing."""
        return ValidatedNames(servers=[self.address], reactor=reactor)

    def is_signed(self, name: str) -> bool:
        """Is there proof for what is said of a name?"""
        return any(f".{name}".endswith(f".{zone}") for zone in self.signed)


class _Factory(server.DNSServerFactory):
    def __init__(self, names: NameServer) -> None:
        super().__init__(clients=[_Records(names)])
        self._names = names
        self._wanting: set[int] = set()  # ids of questions

    def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> Any:
        if message.authenticData:
            self._wanting.add(message.id)
        return super().handleQuery(message, protocol, address)

    def sendReply(self, protocol: Any, message: dns.Message, address: Any) -> None:
        if message.id in self._wanting:
            self._wanting.remove(message.id)
            owners = {_text(query.name) for query in message.queries}
            owners |= {_text(answer.name) for answer in message.answers}
            message.authenticData = all(map(self._names.is_signed, owners))
        super().sendReply(protocol, message, address)


class _Records(ResolverBase):
    def __init__(self, names: NameServer) -> None:
        super().__init__()
        self._names = names

    def _lookup(self, name: bytes, cls: int, kind: int, timeout: Any) -> Any:  # noqa: ARG002
        text = name.decode().lower().rstrip(".")
        wanted = "TLSA" if kind == TLSA else dns.QUERY_TYPES.get(kind, str(kind))
        self._names.asked.append((text, wanted))
        if text in self._names.failing:
            return fail(RuntimeError(text))  # SERVFAIL
        found = self._names.records.get(text)
        if found is None:
            return fail(DNSNameError(text))
        owner, answers = text, list[dns.RRHeader]()
        while "CNAME" in found and wanted != "CNAME" and len(answers) < _MOST_ALIASES:
            (target,) = found["CNAME"]
            answers.append(_answer(owner, "CNAME", target))
            owner, found = target, self._names.records.get(target, {})
        answers += [_answer(owner, wanted, value) for value in found.get(wanted, ())]
        return succeed((answers, [], []))


def _answer(owner: str, kind: str, value: Any) -> dns.RRHeader:
    number = TLSA if kind == "TLSA" else getattr(dns, kind)
    return dns.RRHeader(owner.encode(), number, payload=_MAKERS[kind](value), ttl=0)


def _text(name: dns.Name) -> str:
    return name.name.decode().lower().rstrip(".")

"""A DNS server on the loopback with records of one's own, for tests.

    names = NameServer({"example.org": {"MX": [(10, "mx.example.org")]},
                        "mx.example.org": {"A": ["127.0.0.1"]}})
    await names.start(reactor)
    resolver = names.resolver(reactor)

A name that is not there does not exist; one in `failing` gets SERVFAIL.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import fail, gatherResults, succeed
from twisted.internet.error import CannotListenError
from twisted.names import client, dns, server
from twisted.names.common import ResolverBase
from twisted.names.error import DNSNameError

__all__ = ["NameServer"]

_MAKERS: dict[str, Any] = {
    "A": lambda value: dns.Record_A(value, ttl=0),
    "AAAA": lambda value: dns.Record_AAAA(value, ttl=0),
    "MX": lambda value: dns.Record_MX(value[0], value[1].rstrip("."), ttl=0),
    "CNAME": lambda value: dns.Record_CNAME(value, ttl=0),
    "PTR": lambda value: dns.Record_PTR(value, ttl=0),
    "TXT": lambda value: dns.Record_TXT(
        *[value[i : i + 255].encode() for i in range(0, len(value), 255)], ttl=0
    ),
}


@define(eq=False)
class NameServer:
    """`records` by name and type; may change while it runs.  `asked` has every question."""

    records: Mapping[str, Mapping[str, Sequence[Any]]]
    failing: set[str] = Factory(set)
    asked: list[tuple[str, str]] = Factory(list)
    _ports: list[Any] = Factory(list)

    async def start(self, reactor: Any) -> None:
        """Listen on a free port, UDP and TCP."""
        factory = server.DNSServerFactory(clients=[_Records(self)])
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
        return client.Resolver(servers=[self.address], reactor=reactor)


class _Records(ResolverBase):
    def __init__(self, names: NameServer) -> None:
        super().__init__()
        self._names = names

    def _lookup(self, name: bytes, cls: int, kind: int, timeout: Any) -> Any:  # noqa: ARG002
        text = name.decode().lower().rstrip(".")
        wanted = dns.QUERY_TYPES.get(kind, str(kind))
        self._names.asked.append((text, wanted))
        if text in self._names.failing:
            return fail(RuntimeError(text))  # SERVFAIL
        found = self._names.records.get(text)
        if found is None:
            return fail(DNSNameError(text))
        answers = [
            dns.RRHeader(name, getattr(dns, have), payload=_MAKERS[have](value), ttl=0)
            for have in dict.fromkeys(("CNAME", wanted))
            for value in found.get(have, ())
        ]
        return succeed((answers, [], []))

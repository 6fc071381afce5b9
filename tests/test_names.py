"""What the DNS says, and whether it is secure."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.names import client, dns

from mailhive.errors import TemporaryFailure
from mailhive.names import TLSA, ask, look_up, name_resolver
from mailhive.testing.names import NameServer


@pytest_twisted.async_yield_fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer(
        {
            "a.signed.example": {"A": ["127.0.0.1"], "MX": [(10, "mx.signed.example")]},
            "b.signed.example": {"CNAME": ["a.signed.example"]},
            "c.signed.example": {"CNAME": ["a.example"]},
            "big.signed.example": {"TXT": [f"{i}" * 100 for i in range(10)]},
            "loop.signed.example": {"CNAME": ["loop.signed.example"]},
            "_25._tcp.mx.signed.example": {"TLSA": [(3, 1, 1, b"x" * 32)]},
            "a.example": {"A": ["127.0.0.2"]},
        },
        signed={"signed.example"},
        failing={"bogus.signed.example"},
    )
    await server.start(reactor)
    yield server
    await server.stop()


@ensureDeferred
async def test_what_is_secure(names: NameServer) -> None:
    resolver = name_resolver((f"127.0.0.1:{names.address[1]}",), reactor, validate=True)
    for name, kind, count, canonical, is_secure in (
        ("a.signed.example", dns.A, 1, "a.signed.example", True),
        ("A.Signed.Example", dns.A, 1, "a.signed.example", True),
        ("a.signed.example", dns.TXT, 0, "a.signed.example", True),
        ("none.signed.example", dns.A, None, "none.signed.example", True),
        ("b.signed.example", dns.MX, 1, "a.signed.example", True),
        ("c.signed.example", dns.A, 1, "a.example", False),
        ("c.signed.example", dns.CNAME, 1, "c.signed.example", True),
        ("a.example", dns.A, 1, "a.example", False),
        ("none.example", dns.A, None, "none.example", False),
        ("big.signed.example", dns.TXT, 10, "big.signed.example", True),  # by TCP
        ("_25._tcp.mx.signed.example", TLSA, 1, "_25._tcp.mx.signed.example", True),
    ):
        answer = await ask(resolver, name, kind)
        found: Any = None if answer.records is None else len(answer.records)
        assert (found, answer.name.lower(), answer.is_secure) == (count, canonical, is_secure), name
    assert not (await ask(resolver, "localhost", dns.A)).is_secure  # from a file
    assert await look_up(resolver, "loop.signed.example", dns.A) == []
    # What is no name cannot be asked for, and is not there.
    for name in ("x" * 64 + ".signed.example", "a..example", "a.b." * 64 + "example"):
        assert await look_up(resolver, name, dns.MX) is None
    with pytest.raises(TemporaryFailure):
        await ask(resolver, "bogus.signed.example", dns.A)


@ensureDeferred
async def test_nobody_is_believed_unasked(names: NameServer) -> None:
    servers = (f"127.0.0.1:{names.address[1]}",)
    for resolver in (name_resolver(servers, reactor), client.Resolver(servers=[names.address])):
        answer = await ask(resolver, "a.signed.example", dns.A)
        assert answer.records and not answer.is_secure

"""Lookups against a name server on the loopback."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from mailhive.authn.dns import DnsFailure
from mailhive.authn.spf import check_host
from mailhive.smtp.judging.lookups import Lookups
from mailhive.testing.names import NameServer

LONG = "v=spf1 " + " ".join(f"ip4:192.0.2.{n}" for n in range(200)) + " -all"
RECORDS = {
    "example.org": {
        "TXT": ["v=spf1 mx -all", "other"],
        "A": ["192.0.2.1", "192.0.2.2"],
        "AAAA": ["2001:db8::1"],
        "MX": [(20, "b.example.org"), (10, "A.example.org")],
    },
    "a.example.org": {"A": ["192.0.2.7"]},
    "alias.example.org": {"CNAME": ["example.org"]},
    "loop.example.org": {"CNAME": ["loop.example.org"]},
    "none.example.org": {"MX": [(0, ".")]},
    "long.example.org": {"TXT": [LONG]},
    "many.example.org": {"A": [f"192.0.{n // 200}.{n % 200}" for n in range(400)]},
    "7.2.0.192.in-addr.arpa": {"PTR": ["a.example.org"]},
}


@pytest_twisted.async_yield_fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer(RECORDS, failing={"down.example.org"})
    await server.start(reactor)
    yield server
    await server.stop()


@pytest.fixture
def lookups(names: NameServer) -> Any:
    return Lookups(names.resolver(reactor))


@ensureDeferred
async def test_what_is_there(lookups: Any) -> None:
    assert await lookups.txt("Example.ORG.") == [b"v=spf1 mx -all", b"other"]
    assert await lookups.a("example.org") == [IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")]
    assert await lookups.aaaa("example.org") == [IPv6Address("2001:db8::1")]
    assert await lookups.mx("example.org") == ["a.example.org", "b.example.org"]
    assert await lookups.mx("none.example.org") == ["."]
    assert await lookups.ptr(ip_address("192.0.2.7")) == ["a.example.org"]
    assert await lookups.a("alias.example.org") == await lookups.a("example.org")


@ensureDeferred
async def test_long_answers_come_by_tcp(lookups: Any) -> None:
    assert await lookups.txt("long.example.org") == [LONG.encode()]
    assert len(await lookups.a("many.example.org")) == 100


@ensureDeferred
async def test_what_is_not_there(lookups: Any, names: NameServer) -> None:
    for name in ("missing.example", "a.example.org", "loop.example.org"):
        assert await lookups.txt(name) == []
    asked = len(names.asked)
    for name in ("", ".", "a..b", "ä.example", f"{'a' * 64}.example", "a." * 127 + "example"):
        assert await lookups.txt(name) == []
    assert len(names.asked) == asked


@ensureDeferred
async def test_no_answer(lookups: Any, names: NameServer) -> None:
    with pytest.raises(DnsFailure, match=r"No answer from the DNS about down\.example\.org"):
        await lookups.txt("down.example.org")


@ensureDeferred
async def test_spf(lookups: Any) -> None:
    async def result(address: str, domain: str) -> str:
        verdict = await check_host(
            lookups,
            ip_address(address),
            sender=f"x@{domain}",
            helo="mail.example.org",
            receiver="mx.example",
            now=0,
        )
        return verdict.result

    assert await result("192.0.2.7", "example.org") == "pass"
    assert await result("192.0.2.8", "example.org") == "fail"
    assert await result("192.0.2.150", "long.example.org") == "pass"
    assert await result("192.0.2.7", "missing.example") == "none"
    assert await result("192.0.2.7", "down.example.org") == "temperror"

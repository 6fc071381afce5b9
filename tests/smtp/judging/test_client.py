"""Clients by their address and name, with a name server on the loopback."""

from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.authn.results import authentication_results
from mailhive.model.networks import Networks
from mailhive.smtp.checks import Visit
from mailhive.smtp.judging.client import ClientCheck, Clients
from mailhive.smtp.judging.lists import DnsListSettings
from mailhive.smtp.judging.lookups import Lookups
from mailhive.smtp.policy import MxSettings
from mailhive.testing.names import NameServer

LISTED, NAMED, UNNAMED, LIAR, GUEST = (
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.5",
)


def on(address: str, zone: str, answer: str, reason: str = "") -> dict[str, dict[str, list[str]]]:
    reverse = ip_address(address).reverse_pointer.partition(".in-addr.arpa")[0]
    return {f"{reverse}.{zone}": {"A": [answer], "TXT": [reason] if reason else []}}


def named(address: str, name: str) -> dict[str, dict[str, list[str]]]:
    return {ip_address(address).reverse_pointer: {"PTR": [name]}}


RECORDS: dict[str, dict[str, list[Any]]] = {
    **on(LISTED, "key.bl.example", "127.0.0.4", "See https://x/?ip=192.0.2.1 (key.bl.example)"),
    **on(GUEST, "key.bl.example", "127.0.0.4"),
    **on(GUEST, "wl.example", "127.0.9.3"),
    **on(NAMED, "wl.example", "127.0.9.1"),
    **named(NAMED, "mail.example"),
    **named(LIAR, "mail.example"),
    **named(GUEST, "guest.example"),
    "mail.example": {"A": [NAMED]},
    "mx.only.example": {"MX": [(10, "mail.example")]},
}
BLOCK = DnsListSettings(zone="key.bl.example", name="bl.example")
WELCOME = DnsListSettings(zone="wl.example", answers=("127.0.*.2-3",), action="welcome")


@pytest_twisted.async_yield_fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer(RECORDS, failing={"down.example", "1.2.0.192.down.bl.example"})
    await server.start(reactor)
    yield server
    await server.stop()


@pytest.fixture
def answered(names: NameServer) -> Callable[..., Any]:
    async def answered(
        peer: str, hello: str = "client.example", to: str = "a@x.example", **settings: Any
    ) -> tuple[str, str, ClientCheck]:
        """The reply to RCPT, "" if there is none, and what is told."""
        made = MxSettings(trusted_networks=Networks(), **settings)
        visit = Visit("smtp", "c1", peer)
        check = Clients(Lookups(names.resolver(reactor)), "mx.here.example", made, reactor).check(
            visit
        )
        assert check is not None
        assert await check.connected() is None
        visit.hello = hello
        reply = await check.recipient(to)
        assert str(await check.recipient(to)) == str(reply)
        told = " ".join(authentication_results("mx", visit.results).decode().split())
        return str(reply or ""), told, check

    return answered


@ensureDeferred
async def test_those_on_a_list_are_refused(answered: Any) -> None:
    reply, told, _ = await answered(LISTED, dns_lists=(BLOCK,))
    # The key of the zone is nobody else's.
    assert reply == (
        "550 5.7.1 192.0.2.1 is listed by bl.example: See https://x/?ip=192.0.2.1 (bl.example)"
    )
    assert "x-dnsbl=fail dns.zone=bl.example policy.ip=127.0.0.4 policy.txt=" in told
    assert "key" not in told
    assert (await answered(NAMED, dns_lists=(BLOCK,)))[:2] == (
        "",
        "Authentication-Results: mx; none",
    )


@ensureDeferred
async def test_the_postmaster_can_be_written_to(answered: Any) -> None:
    for to in ("postmaster@x.example", "Postmaster@mx.here.example"):
        assert (await answered(LISTED, to=to, dns_lists=(BLOCK,)))[0] == ""


@ensureDeferred
async def test_who_is_welcome_is_let_in(answered: Any) -> None:
    both = {"dns_lists": (BLOCK, WELCOME), "client_name": "confirmed", "refuse_hello": ("unknown",)}
    reply, told, check = await answered(GUEST, "missing.example", **both)
    assert (reply, check.visit.is_welcome) == ("", True)
    assert "dnswl=pass dns.zone=wl.example policy.ip=127.0.9.3" in told
    reply, _, check = await answered(NAMED, "missing.example", **both)  # on it for less
    assert reply.startswith("550") and not check.visit.is_welcome


@ensureDeferred
async def test_lists_that_refuse_nobody(answered: Any) -> None:
    for action in ("junk", "mark"):
        block = DnsListSettings(zone="key.bl.example", action=action)
        reply, told, check = await answered(LISTED, dns_lists=(block,))
        assert (reply, "x-dnsbl=fail" in told) == ("", True)
        assert check.reads_messages


@pytest.mark.parametrize(
    ("peer", "some", "confirmed", "result"),
    [
        (NAMED, "", "", "pass"),
        (UNNAMED, "550 5.7.25", "550 5.7.25", "permerror"),
        (LIAR, "", "550 5.7.25", "fail"),
    ],
)
@ensureDeferred
async def test_names_of_clients(
    answered: Any, peer: str, some: str, confirmed: str, result: str
) -> None:
    reply, told, check = await answered(peer, client_name="some")
    assert reply[:10].rstrip() == some
    assert f"iprev={result}" in told and f"policy.iprev={peer}" in told
    assert check.visit.name == ("mail.example" if peer == NAMED else "")
    reply, _, _ = await answered(peer, client_name="confirmed")
    assert reply[:10].rstrip() == confirmed


@pytest.mark.parametrize(
    ("hello", "fault"),
    [
        ("mail.example", None),
        ("Mail.Example.", None),
        ("mx.only.example", None),
        ("down.example", None),
        ("[192.0.2.1]", None),
        ("[IPv6:2001:db8::1]", None),
        ("192.0.2.1", "bare-address"),
        ("PC", "unqualified"),
        ("MX.here.example", "own-name"),
        ("localhost", "own-name"),
        ("missing.example", "unknown"),
    ],
)
@ensureDeferred
async def test_names_in_hello(answered: Any, hello: str, fault: str | None) -> None:
    kinds = ("bare-address", "unqualified", "own-name", "unknown")
    for kind in kinds:
        expected = kind == fault
        if kind == "unknown" and fault in ("unqualified", "own-name"):
            expected = True  # the DNS does not know it either
        if kind == "unqualified" and hello == "localhost":
            expected = True
        reply, _, _ = await answered(NAMED, hello, refuse_hello=(kind,))
        assert reply.startswith("550 5.7.1 In HELO or EHLO: ") == expected, kind
    assert (await answered(NAMED, hello))[0] == ""


@ensureDeferred
async def test_an_error_of_the_dns_refuses_nobody(answered: Any) -> None:
    down = DnsListSettings(zone="down.bl.example")
    assert (await answered(LISTED, "down.example", dns_lists=(down,)))[0] == ""
    error = DnsListSettings(zone="key.bl.example", answers=("127.0.0.2",))
    assert (await answered(LISTED, dns_lists=(error,)))[0] == ""


@ensureDeferred
async def test_nothing_is_asked_that_nobody_wants(answered: Any, names: NameServer) -> None:
    await answered(LISTED)
    assert not names.asked


class Silent:
    """An `IResolver` that never answers."""

    def query(self, query: Any, timeout: Any) -> Any:
        return Deferred()


def test_a_dns_that_is_silent_puts_nobody_off_for_long() -> None:
    clock = Clock()
    settings = MxSettings(
        trusted_networks=Networks(),
        dns_lists=(BLOCK, WELCOME),
        client_name="confirmed",
        refuse_hello=("unknown",),
    )
    visit = Visit("smtp", "c1", LISTED)
    check = Clients(Lookups(Silent()), "mx.here.example", settings, clock).check(visit)
    assert check is not None
    done: list[Any] = []
    Deferred.fromCoroutine(check.connected()).addCallback(done.append)
    clock.advance(10)
    assert done == [None]
    visit.hello = "x.example"
    Deferred.fromCoroutine(check.recipient("a@x.example")).addCallback(done.append)
    clock.advance(10)
    assert done == [None, None]
    assert not clock.getDelayedCalls()


def test_who_goes_leaves_nothing_behind() -> None:
    clock = Clock()
    settings = MxSettings(trusted_networks=Networks(), dns_lists=(BLOCK,))
    check = Clients(Lookups(Silent()), "mx", settings, clock).check(Visit("smtp", "c1", LISTED))
    assert check is not None
    Deferred.fromCoroutine(check.connected())
    check.disconnected()
    assert not clock.getDelayedCalls()


def test_neighbours_are_not_looked_up() -> None:
    settings = MxSettings(dns_lists=(BLOCK,))
    clients = Clients(Lookups(Silent()), "mx.here.example", settings, Clock())
    for peer in ("127.0.0.1", "::1", "10.1.2.3", "::ffff:192.168.0.1", "", "somewhere"):
        assert clients.check(Visit("smtp", "c1", peer)) is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"zone": "bl_example..x"}, "is not a host name"),
        ({"zone": "bl.example", "answers": ("127.0.0.300",)}, "allowed are addresses as in"),
        ({"zone": "bl.example", "answers": ()}, "is empty"),
    ],
)
def test_lists_that_are_wrong(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        DnsListSettings(**settings)
    with pytest.raises(ValueError, match="is no domain"):
        MxSettings(trusted_sealers=("example.org", "a b"))

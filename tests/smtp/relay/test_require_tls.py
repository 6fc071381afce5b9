"""Messages that need TLS, and those that do not care (RFC 8689); LIMITS of servers (RFC 9422)."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred

from mailhive.config.relay import RouteSettings
from mailhive.smtp.limits import Limits
from mailhive.testing.certificates import make_certificate
from mailhive.testing.smtp_peer import SmtpPeer

from .conftest import DaneWorld, context, tlsa

MX1, MX2 = "mx1.example.org", "mx2.example.org"
OWN, FOREIGN = make_certificate(MX1, "127.0.0.1"), make_certificate("other.example")
REQUIRED: dict[str, Any] = {"parameters": {"REQUIRETLS": None}}
CARELESS = b"Subject: x\r\nTLS-Required: No\r\n\r\nHello\r\n"


def able(*more: str) -> SmtpPeer:
    """A server with TLS."""
    return SmtpPeer(extensions=("STARTTLS", *more), context_factory=context(OWN))


async def outcome(one: Any, to: str = "b@example.org", **more: Any) -> tuple[int, str]:
    found = (await one.send(to, **more))[to]
    return found.code, found.enhanced


@ensureDeferred
async def test_to_servers_that_can(world: DaneWorld) -> None:
    first, second = able(), able("REQUIRETLS")
    one = await world.start(first, second)
    for host in (MX1, MX2):
        world.publish(host, tlsa(OWN))
    assert (await outcome(one, **REQUIRED))[0] == 250
    assert not first.messages and len(second.messages) == 1  # the first cannot
    assert second.commands[0][3] == "MAIL FROM:<a@here.example> REQUIRETLS"
    assert (await outcome(one))[0] == 250
    assert len(first.messages) == 1  # which keeps nobody else from it
    second.extensions = ("STARTTLS",)
    assert await outcome(world.again(), **REQUIRED) == (550, "5.7.30")
    # As long as one of them does not answer, it is not final.
    second.replies["GREETING"] = ["421 4.3.2 Busy"]
    assert await outcome(world.again(), **REQUIRED) == (421, "4.3.2")


@ensureDeferred
async def test_never_by_those_who_do_not_prove_who_they_are(world: DaneWorld) -> None:
    first, second = able("REQUIRETLS"), SmtpPeer()
    one = await world.start(first, second)
    # DNSSEC proves the name, so the certificate has to; nobody known has signed it.
    assert await outcome(one, **REQUIRED) == (550, "5.7.10")
    # Nothing proves the name.
    world.names.signed.clear()
    before = len(first.commands)
    assert await outcome(one, **REQUIRED) == (550, "5.7.30")
    assert len(first.commands) == before
    # Not even TLS: a host without MX, and an address.
    world.names.records["direct.example"] = {"A": ["127.0.0.2"]}  # type: ignore[index]
    assert await outcome(one, "b@direct.example", **REQUIRED) == (550, "5.7.10")
    assert await outcome(one, "b@[127.0.0.1]", **REQUIRED) == (550, "5.7.10")
    assert not first.messages and not second.messages


@ensureDeferred
async def test_routes(relay: Any, peers: Any, names: Any, tmp_path: Path) -> None:
    peer = able("REQUIRETLS")
    port = await peers(peer)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(OWN.certificate)
    for trusted, code in ((ca_file, 250), (None, 550)):
        for tls in ("none", "opportunistic", "starttls"):
            route = RouteSettings(host=MX1, port=port, tls=tls, ca_file=trusted)  # type: ignore[arg-type]
            one = relay(route={"*": route})
            assert (await outcome(one, **REQUIRED))[0] == code, tls
    assert len(peer.messages) == 3
    assert all("STARTTLS" in commands for commands in peer.commands)


@ensureDeferred
async def test_reports_are_not_lost_for_it(world: DaneWorld) -> None:
    # RFC 8689 §5
    first = able("REQUIRETLS")
    one = await world.start(first, SmtpPeer())
    assert (await outcome(one, sender="", **REQUIRED))[0] == 250
    assert first.commands[0][3] == "MAIL FROM:<> REQUIRETLS"
    first.extensions = ()
    assert (await outcome(world.again(), sender="", **REQUIRED))[0] == 250
    assert first.commands[1][1] == "MAIL FROM:<>"


@ensureDeferred
async def test_messages_that_do_not_care(world: DaneWorld) -> None:
    first, second = able(), SmtpPeer()
    one = await world.start(first, second)
    world.names.records["example.org"] = {"MX": [(1, MX1)]}  # type: ignore[index]
    world.publish(MX1, tlsa(FOREIGN))
    assert (await outcome(one))[0] == 451
    assert (await outcome(one, text=CARELESS))[0] == 250
    assert "STARTTLS" in first.commands[1]  # if it can be had
    first.extensions = ()
    assert (await outcome(world.again(), text=CARELESS))[0] == 250
    # The parameter counts for more; the field has one value, and is there once.
    assert (await outcome(one, text=CARELESS, **REQUIRED))[0] == 550
    for bad in (
        CARELESS.replace(b"No", b"Yes"),
        CARELESS.replace(b"\r\n\r\n", b"\r\nTLS-Required: No\r\n\r\n"),
        b"Subject: x\r\n\r\nTLS-Required: No\r\n",
    ):
        assert (await outcome(world.again(), text=bad))[0] == 451


@ensureDeferred
async def test_limits(relay: Any, peers: Any) -> None:
    peer = SmtpPeer(extensions=("PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=2"))
    port = await peers(peer)
    one = relay(route={"*": RouteSettings(host="127.0.0.1", port=port, tls="none")})
    addresses = [f"{i}@{i % 2}.example" for i in range(7)]
    assert {o.code for o in (await one.send(*addresses)).values()} == {250}
    assert [sum(c[:4] == "RCPT" for c in commands) for commands in peer.commands] == [4, 3]
    assert (await outcome(one))[0] == 250
    assert len(peer.commands) == 3  # the second connection was used up
    peer.extensions = ("LIMITS RCPTDOMAINMAX=1",)
    one = relay(route={"*": RouteSettings(host="127.0.0.1", port=port, tls="none")})
    await one.send(*addresses)
    assert len(peer.messages) == 4 + 1 + 2


@pytest.mark.parametrize(
    ("told", "limits"),
    [
        ("", Limits()),
        ("RCPTMAX=20 mailmax=5", Limits(5, 20)),
        ("RCPTDOMAINMAX=1 NEW=x OTHER=7", Limits(None, None, 1)),
        ("RCPTMAX=0 MAILMAX=05 RCPTDOMAINMAX=1000000", Limits()),
        ("RCPTMAX= MAILMAX", Limits()),
    ],
)
def test_limits_that_are_told(told: str, limits: Limits) -> None:
    assert Limits.of({"LIMITS": told}) == limits


@given(st.text(max_size=50), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_somebody_is_always_next(told: str, domains: list[int]) -> None:
    addresses = [f"{i}@{domain}" for i, domain in enumerate(domains)]
    for limits in (Limits.of({"LIMITS": told}), Limits(None, 3, 2), Limits(None, None, 1)):
        left = addresses
        while left:
            some = limits.first(left, 100)
            assert some and len(some) <= (limits.recipients or 100)
            assert len({a.partition("@")[2] for a in some}) <= (limits.domains or 100)
            left = [a for a in left if a not in some]

"""Mail to servers that DANE says something of (RFC 7672)."""

from typing import Any

from pytest_twisted import ensureDeferred

from mailhive.testing.certificates import Pem, make_certificate
from mailhive.testing.smtp_peer import SmtpPeer

from .conftest import DaneWorld, context, tlsa

MX1, MX2 = "mx1.example.org", "mx2.example.org"
OWN, FOREIGN = make_certificate(MX1), make_certificate("other.example")
ROOT = make_certificate("Root")
SIGNED = make_certificate("example.org", issuer=ROOT)


def peer(pem: Pem | None, *more: Pem) -> SmtpPeer:
    if pem is None:
        return SmtpPeer()
    return SmtpPeer(extensions=("STARTTLS",), context_factory=context(pem, *more))


async def outcome(one: Any, to: str = "b@example.org") -> tuple[int, str, str]:
    found = (await one.send(to))[to]
    return found.code, found.enhanced, found.text


@ensureDeferred
async def test_the_certificate_of_the_record(world: DaneWorld) -> None:
    first, second = peer(FOREIGN), peer(None)
    one = await world.start(first, second)
    world.publish(MX1, tlsa(FOREIGN))  # for another name, signed by itself
    assert (await outcome(one))[0] == 250
    assert first.commands[0][:3] == ["EHLO here.example", "STARTTLS", "EHLO here.example"]
    assert len(first.messages) == 1 and not second.messages
    await outcome(one)
    assert len(first.commands) == 1  # used again


@ensureDeferred
async def test_another_certificate(world: DaneWorld) -> None:
    first, second = peer(FOREIGN), peer(OWN)
    one = await world.start(first, second)
    world.publish(MX1, tlsa(OWN))
    assert (await outcome(one))[0] == 250
    assert not first.messages and second.messages
    assert first.commands == [["EHLO here.example", "STARTTLS"]]  # and nothing more
    world.publish(MX2, tlsa(FOREIGN))
    code, enhanced, text = await outcome(world.again())
    assert (code, enhanced) == (451, "4.7.5") and "DANE" in text
    assert len(second.messages) == 1


@ensureDeferred
async def test_never_in_clear(world: DaneWorld) -> None:
    unable = SmtpPeer(extensions=("STARTTLS",), replies={"STARTTLS": ["454 4.7.0 No"] * 9})
    one = await world.start(peer(None), unable)
    for host in (MX1, MX2):
        world.publish(host, tlsa(OWN))
    assert (await outcome(one))[:2] == (451, "4.7.5")
    # Records that cannot be used ask for TLS, and that is all (RFC 7672 §2.2).
    for host in (MX1, MX2):
        world.publish(host, (1, 1, 1, b"x" * 32), (3, 1, 1, b"short"))
    assert (await outcome(one))[:2] == (451, "4.7.5")
    assert not unable.messages
    unable.replies.clear()
    unable.context_factory = context(FOREIGN)
    assert (await outcome(one))[0] == 250


@ensureDeferred
async def test_a_trust_anchor(world: DaneWorld) -> None:
    # The name is that of the domain, which counts as what led to the host is secure.
    one = await world.start(peer(SIGNED, ROOT), peer(None))
    world.names.records["example.org"] = {"MX": [(1, MX1)]}  # type: ignore[index]
    world.publish(MX1, tlsa(ROOT, usage=2))
    assert (await outcome(one))[0] == 250
    world.names.signed -= {"example.org"}
    world.names.signed |= {MX1}  # now the host alone
    world.names.records["example.org"] = {"MX": [(1, MX1)]}  # type: ignore[index]
    code, _, text = await outcome(world.again())
    assert code == 451 and "is not for mx1.example.org" in text


@ensureDeferred
async def test_what_is_not_secure_does_not_count(world: DaneWorld) -> None:
    first = peer(FOREIGN)
    one = await world.start(first, peer(None))
    world.publish(MX1, tlsa(OWN))
    world.names.signed.clear()
    assert (await outcome(one))[0] == 250
    # Nor are records asked for where addresses are not secure: RFC 7672 §2.2.2.
    assert not any(kind == "TLSA" for _, kind in world.names.asked)
    # Nor anything believed where that is not configured.
    world.names.signed |= {"example.org"}
    assert (await outcome(world.relay(port=world.port)))[0] == 250
    assert len(first.messages) == 2


@ensureDeferred
async def test_a_look_up_that_fails(world: DaneWorld) -> None:
    first, second = peer(OWN), peer(None)
    one = await world.start(first, second)
    world.names.failing.add(f"_{world.port}._tcp.{MX1}")
    assert (await outcome(one))[0] == 250  # by the other one
    assert not first.commands and second.messages
    world.names.failing.add(f"_{world.port}._tcp.{MX2}")
    assert (await outcome(one))[:2] == (451, "4.4.3")
    world.names.failing -= {f"_{world.port}._tcp.{MX2}"}
    second.replies["GREETING"] = ["554 5.7.1 Not you"]
    # Not final, as the first one may take it another day.
    assert (await outcome(world.again()))[:2] == (451, "4.4.3")


@ensureDeferred
async def test_aliases(world: DaneWorld) -> None:
    first = peer(OWN)
    one = await world.start(first)
    world.names.records |= {  # type: ignore[operator]
        "example.org": {"MX": [(1, "alias.example.org")]},
        "alias.example.org": {"CNAME": ["real.example.org"]},
        "real.example.org": {"A": ["127.0.0.1"]},
        "out.example.org": {"CNAME": ["far.example"]},
        "far.example": {"A": ["127.0.0.1"]},
    }
    for base in ("real.example.org", "alias.example.org"):  # RFC 7672 §2.2.3
        world.publish(base, tlsa(FOREIGN))
        assert (await outcome(world.again()))[0] == 451
        del world.names.records[f"_{world.port}._tcp.{base}"]  # type: ignore[attr-defined]
    assert (await outcome(one))[0] == 250
    # What the alias leads to is not secure, the alias is.
    world.names.records["example.org"] = {"MX": [(1, "out.example.org")]}  # type: ignore[index]
    world.publish("far.example", tlsa(OWN))
    world.publish("out.example.org", tlsa(FOREIGN))
    assert (await outcome(world.again()))[0] == 451
    world.publish("out.example.org", tlsa(OWN))
    assert (await outcome(world.again()))[0] == 250


@ensureDeferred
async def test_hosts_without_mx_and_literals(world: DaneWorld) -> None:
    first = peer(OWN)
    await world.start(first)
    world.names.records["direct.example.org"] = {"A": ["127.0.0.1"]}  # type: ignore[index]
    world.publish("direct.example.org", tlsa(FOREIGN))
    assert (await outcome(world.again(), "b@direct.example.org"))[0] == 451
    world.publish("direct.example.org", tlsa(OWN))
    assert (await outcome(world.again(), "b@direct.example.org"))[0] == 250
    assert (await outcome(world.again(), "b@[127.0.0.1]"))[0] == 250

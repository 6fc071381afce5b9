"""Mail to servers that behave as a test wants."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from mailhive.config.relay import RouteSettings
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.outbox import ITransport
from mailhive.smtp.relay import transport
from mailhive.smtp.relay.content import StoredContent
from mailhive.testing.smtp_peer import CLOSE, SmtpPeer


@ensureDeferred
async def test_a_message_goes_to_the_first_server(relay: Any, peers: Any) -> None:
    first, second = SmtpPeer(), SmtpPeer()
    one = relay(port=await peers(first, second))
    assert verifyObject(ITransport, one.transport)
    outcomes = await one.send("b@example.org", "c@example.org")
    assert [(o.code, o.text, o.host) for o in outcomes.values()] == [
        (250, "Accepted", "mx1.example.org")
    ] * 2
    assert first.messages == [b"Subject: x\r\n\r\nHello\r\n"] and not second.messages
    assert first.commands[0][:2] == ["EHLO here.example", "MAIL FROM:<a@here.example> SIZE=21"]


@ensureDeferred
async def test_connections_are_used_again(relay: Any, peers: Any) -> None:
    peer = SmtpPeer()
    one = relay(port=await peers(peer, SmtpPeer()))
    for _ in range(3):
        await one.send()
    assert len(peer.commands) == 1 and len(peer.messages) == 3
    peer.connections[0].transport.abortConnection()
    await one.send()
    assert len(peer.commands) == 2 and len(peer.messages) == 4


@pytest.mark.parametrize(
    "replies",
    [
        {"GREETING": ["421 4.3.2 Too busy"]},
        {"GREETING": ["554 5.7.1 Not you"]},
        {"GREETING": [CLOSE]},
        {"EHLO": [CLOSE]},
        {"GREETING": ["What is this?"]},
    ],
)
@ensureDeferred
async def test_the_next_server_is_tried(
    relay: Any, peers: Any, replies: dict[str, list[str]]
) -> None:
    first, second = SmtpPeer(replies=replies), SmtpPeer()
    one = relay(port=await peers(first, second))
    outcomes = await one.send()
    assert outcomes["b@example.org"].code == 250
    assert outcomes["b@example.org"].host == "mx2.example.org"
    assert not first.messages and second.messages


@ensureDeferred
async def test_servers_that_let_us_wait_are_left_for_later(
    relay: Any, peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_LONGEST", -1.0)
    second = SmtpPeer()
    one = relay(port=await peers(SmtpPeer(replies={"GREETING": ["421 4.3.2 Too busy"]}), second))
    assert (await one.send())["b@example.org"].code == 421
    assert not second.connections and not second.commands


@ensureDeferred
async def test_a_server_that_is_not_there(relay: Any, peers: Any, names: Any) -> None:
    peer = SmtpPeer()
    port = await peers(peer)
    one = relay(port=port)
    names.records["example.org"] = {"MX": [(1, "mx3.example.org"), (2, "mx1.example.org")]}
    names.records["mx3.example.org"] = {"A": ["127.0.0.3"]}
    assert (await one.send())["b@example.org"].code == 250
    names.records["example.org"] = {"MX": [(1, "mx3.example.org")]}
    outcome = (await one.send())["b@example.org"]
    assert (outcome.code, outcome.enhanced) == (451, "4.4.1")
    assert "refused" in outcome.text


@ensureDeferred
async def test_what_becomes_of_each_recipient(relay: Any, peers: Any) -> None:
    peer = SmtpPeer(replies={"RCPT": ["250 ok", "550 5.1.1 Nobody", "450 4.2.0 Later"]})
    one = relay(port=await peers(peer, SmtpPeer()))
    outcomes = await one.send("a@example.org", "b@example.org", "c@example.org")
    assert [o.code for o in outcomes.values()] == [250, 550, 450]


@pytest.mark.parametrize(
    ("verb", "reply", "code", "other"),
    [
        ("DATA", CLOSE, 451, 250),
        ("END", CLOSE, 451, 451),  # which may have it
        ("END", "452 4.3.1 Full", 452, 452),
        ("END", "554 5.7.1 Spam", 554, 554),
        ("END", "421 4.3.2 Bye", 421, 250),
        ("MAIL", "421 4.7.0 Slowly", 421, 250),
        ("RCPT", CLOSE, 451, 250),
    ],
)
@ensureDeferred
async def test_trouble_on_the_way(
    relay: Any, peers: Any, names: Any, verb: str, reply: str, code: int, other: int
) -> None:
    """A server that hangs up leaves the message to another one, if there is one."""
    second = SmtpPeer()
    peer = SmtpPeer(replies={verb: [reply, reply]})
    one = relay(port=await peers(peer, second))
    assert (await one.send())["b@example.org"].code == other
    assert len(second.messages) == (other == 250)
    names.records["example.org"] = {"MX": [(1, "mx1.example.org")]}
    assert (await one.send())["b@example.org"].code == code
    assert (await one.send())["b@example.org"].code == 250  # a new connection


@ensureDeferred
async def test_who_was_told_of_is_not_tried_elsewhere(relay: Any, peers: Any) -> None:
    first = SmtpPeer(replies={"RCPT": ["550 5.1.1 No", *["250 ok"] * 99, CLOSE]})
    second = SmtpPeer()
    one = relay(port=await peers(first, second))
    outcomes = await one.send(*(f"r{i}@example.org" for i in range(150)))
    assert [o.code for o in outcomes.values()] == [550] + [250] * 149
    assert [o.host[:3] for o in outcomes.values()] == ["mx1"] * 100 + ["mx2"] * 50
    assert len(first.messages) == len(second.messages) == 1
    assert sum(line.startswith("RCPT") for line in second.commands[0]) == 50


@ensureDeferred
async def test_a_message_that_can_be_read_no_more(
    relay: Any, peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has it already is not to get it again, and the server is not kept waiting."""
    peer = SmtpPeer()
    one = relay(port=await peers(peer))
    chunks, sent = StoredContent.chunks, []

    async def failing(self: StoredContent) -> AsyncIterator[bytes]:
        sent.append(1)
        async for chunk in chunks(self):
            yield chunk
        if len(sent) == 2:
            raise TemporaryFailure("no disk")

    monkeypatch.setattr(StoredContent, "chunks", failing)
    outcomes = await one.send(*(f"r{i}@example.org" for i in range(150)))
    assert [o.code for o in outcomes.values()] == [250] * 100 + [451] * 50
    assert len(peer.messages) == 1
    while peer.connections:
        await deferLater(reactor, 0.01)


@ensureDeferred
async def test_too_many_recipients_come_in_turns(relay: Any, peers: Any) -> None:
    peer = SmtpPeer(replies={"RCPT": ["250 ok", "250 ok", "452 4.5.3 Too many"]})
    one = relay(port=await peers(peer, SmtpPeer()))
    outcomes = await one.send("a@example.org", "b@example.org", "c@example.org")
    assert [o.code for o in outcomes.values()] == [250] * 3
    assert len(peer.messages) == 2 and len(peer.commands) == 1
    many = [f"r{i}@example.org" for i in range(250)]
    assert {o.code for o in (await one.send(*many)).values()} == {250}
    assert len(peer.messages) == 2 + 3


@ensureDeferred
async def test_dns_says_no(relay: Any, names: Any) -> None:
    one = relay(port=1)
    names.failing.add("broken.example")
    for address, code, enhanced in (
        ("a@nowhere.example", 550, "5.1.2"),
        ("a@broken.example", 451, "4.4.3"),
    ):
        outcome = (await one.send(address))[address]
        assert (outcome.code, outcome.enhanced) == (code, enhanced)


@ensureDeferred
async def test_address_literals(relay: Any, peers: Any) -> None:
    peer = SmtpPeer()
    one = relay(port=await peers(peer))
    assert (await one.send("a@[127.0.0.1]"))["a@[127.0.0.1]"].code == 250


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Any:
    """Context factory and path of a certificate for a name, signed by itself."""

    def make(name: str) -> tuple[Any, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256())
        )
        paths = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        pem = paths[0].read_bytes() + paths[1].read_bytes()
        return PrivateCertificate.loadPEM(pem).options(), paths[0]

    return make


def tls_peer(context: Any, **more: Any) -> SmtpPeer:
    return SmtpPeer(
        extensions=("PIPELINING", "STARTTLS", "AUTH PLAIN"), context_factory=context, **more
    )


@ensureDeferred
async def test_tls_is_used_where_it_is_offered(relay: Any, peers: Any, certificate: Any) -> None:
    peer = tls_peer(certificate("whoever.example")[0])
    one = relay(port=await peers(peer, SmtpPeer()))
    assert (await one.send())["b@example.org"].code == 250
    assert peer.commands[0][:3] == ["EHLO here.example", "STARTTLS", "EHLO here.example"]


@ensureDeferred
async def test_without_tls_rather_than_not_at_all(relay: Any, peers: Any) -> None:
    # The server offers what it cannot do; another one changes its mind.
    peer = SmtpPeer(extensions=("STARTTLS",), replies={"STARTTLS": ["220 go"]})
    peer.context_factory = None
    one = relay(port=await peers(peer, SmtpPeer()))
    peer.replies["STARTTLS"] = ["454 4.7.0 No"]
    assert (await one.send())["b@example.org"].code == 250
    assert len(peer.commands) == 1


@ensureDeferred
async def test_a_route_is_held_to_its_name(
    relay: Any, peers: Any, names: Any, certificate: Any
) -> None:
    context, ca_file = certificate("smart.example")
    names.records["smart.example"] = {"A": ["127.0.0.1"]}
    names.records["other.example"] = {"A": ["127.0.0.1"]}
    peer = tls_peer(context)
    port = await peers(peer)

    def route(host: str, **more: Any) -> dict[str, RouteSettings]:
        return {"*": RouteSettings(host=host, port=port, **more)}

    login = {"user": "u", "password": "p"}
    good = relay(route=route("smart.example", ca_file=ca_file, **login))
    assert (await good.send("b@far.example"))["b@far.example"].code == 250
    assert peer.commands[0][3] == "AUTH PLAIN AHUAcA=="
    for bad in (
        route("other.example", ca_file=ca_file),  # the certificate is for another name
        route("smart.example"),  # nobody knows who signed it
    ):
        outcome = (await relay(route=bad).send("b@far.example"))["b@far.example"]
        assert outcome.code == 451 and "TLS" in outcome.text
    assert len(peer.messages) == 1


@ensureDeferred
async def test_a_route_that_does_not_let_us_in(
    relay: Any, peers: Any, names: Any, certificate: Any
) -> None:
    """Mail waits until somebody mends the password."""
    context, ca_file = certificate("smart.example")
    names.records["smart.example"] = {"A": ["127.0.0.1"]}
    peer = tls_peer(context, replies={"AUTH": ["535 5.7.8 Who?"]})
    route = RouteSettings(
        host="smart.example", port=await peers(peer), ca_file=ca_file, user="u", password="hush"
    )
    one = relay(route={"*": route})
    outcome = (await one.send())["b@example.org"]
    assert (outcome.code, outcome.text) == (454, "No login: 535 5.7.8 Who?")
    assert (await one.send())["b@example.org"].code == 250
    async for target in one.transport.routes.targets("example.org"):
        assert target.login and "hush" not in repr(target)


@ensureDeferred
async def test_a_route_without_tls_gets_nothing(relay: Any, peers: Any) -> None:
    peer = SmtpPeer()
    port = await peers(peer)
    one = relay(route={".example": RouteSettings(host="127.0.0.1", port=port)})
    outcome = (await one.send("b@far.example"))["b@far.example"]
    assert (outcome.code, outcome.enhanced) == (451, "4.7.5") and not peer.messages


@ensureDeferred
async def test_a_route_to_nowhere(relay: Any) -> None:
    """Mail waits until somebody mends the name."""
    one = relay(route={"*": RouteSettings(host="smrat.example")})
    outcome = (await one.send())["b@example.org"]
    assert (outcome.code, outcome.enhanced) == (451, "4.4.3")
    assert "smrat.example" in outcome.text


@ensureDeferred
async def test_routes_by_domain(relay: Any) -> None:
    one = relay(
        route={
            "a.example": RouteSettings(host="one.example"),
            ".example": RouteSettings(host="two.example", tls="implicit"),
        }
    )
    for address, destination in {
        "x@A.example": "one.example:starttls",
        "x@b.a.example": "two.example:implicit",
        "x@example": "example",
        "x@exämple.org": "xn--exmple-cua.org",
    }.items():
        assert await one.transport.destination(address) == destination

"""Signing on the way out."""

from pathlib import Path
from typing import Any

import dkim
import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pytest_twisted import ensureDeferred

from mailhive.authn.dkim_sign import SigningKey, published
from mailhive.config.dkim import DkimSettings
from mailhive.config.fields import FilePath
from mailhive.errors import MailhiveError
from mailhive.smtp.relay.signing import read_keys, signatures
from mailhive.testing.smtp_peer import SmtpPeer

RSA = SigningKey("example.org", "r", generate_private_key(65_537, 1024))
ED25519 = SigningKey("example.org", "e", Ed25519PrivateKey.generate())
KEYS = {"example.org": (RSA, ED25519), "xn--bcher-kva.example": (evolve(RSA, selector="b"),)}


def records(name: bytes, timeout: int = 5) -> bytes:
    """What dkimpy asks for."""
    selector, _, _ = name.decode().partition("._domainkey.")
    return published(ED25519 if selector == "e" else RSA).encode()


def verified(message: bytes) -> list[bool]:
    """What dkimpy says of each signature."""
    count = message.lower().count(b"dkim-signature:")
    return [dkim.DKIM(message).verify(idx=n, dnsfunc=records) for n in range(count)]


@pytest.mark.parametrize(
    ("author", "signed"),
    [
        ("a@example.org", 2),
        ("A <a@EXAMPLE.ORG>", 2),
        ("=?utf-8?q?a=40x.example?= <a@mail.example.org>", 2),
        ("a@bücher.example", 1),
        ("a@xn--bcher-kva.example", 1),
        ("a@badexample.org", 0),
        ("a@org", 0),
        ("a@", 0),
        ("", 0),
        ("b@other.example, a@example.org", 0),
    ],
)
def test_whose_keys_sign(author: str, signed: int) -> None:
    message = f"From: {author}\r\nTo: b@far.example\r\n\r\nHello\r\n".encode()
    made = signatures(message, KEYS, 1_700_000_000)
    assert verified(made + message) == [True] * signed


def test_a_message_without_an_author() -> None:
    assert signatures(b"Subject: x\r\n\r\n", KEYS, 1_700_000_000) == b""


def test_line_ends_are_those_of_the_wire() -> None:
    message = b"From: a@example.org\nSubject: x\n\nHello\ryou\n\r\n.\n"
    wire = b"From: a@example.org\r\nSubject: x\r\n\r\nHello\r\nyou\r\n\r\n.\r\n"
    assert verified(signatures(message, KEYS, 1_700_000_000) + wire) == [True, True]


@ensureDeferred
async def test_signed_once(relay: Any, peers: Any) -> None:
    peer = SmtpPeer()
    one = relay(port=await peers(peer, SmtpPeer()))
    signer = one.transport.signer
    signer.keys = KEYS
    ticks = iter(range(1_700_000_000, 1_800_000_000))

    class Clock:
        def seconds(self) -> float:
            return float(next(ticks))

    signer.clock = Clock()
    text = b"From: a@example.org\r\nSubject: x\r\n\r\n.Hello\r\n"
    await one.send(text=text)
    await one.send("c@example.org", text=text)
    first, second = peer.messages
    assert first == second and first.endswith(text)
    assert verified(first) == [True, True]
    declared = peer.commands[0][1].rpartition("SIZE=")[2]
    assert int(declared) == len(first)
    # Other keys, other signatures
    signer.prepare({})()
    await one.send(text=text)
    assert peer.messages[-1] == text


def settings(path: Path, **more: Any) -> DkimSettings:
    return DkimSettings(("Bücher.example", "example.org"), "s", FilePath(path), **more)


def test_keys_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    octets = RSA.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(octets)
    chosen = settings(path, sealed_fields=("From", "To", "to"), signed_fields=("X-Y",))
    keys = read_keys({"a": chosen, "b": evolve(chosen, selector="t", domains=("example.org",))})
    assert {domain: [key.selector for key in those] for domain, those in keys.items()} == {
        "xn--bcher-kva.example": ["s"],
        "example.org": ["s", "t"],
    }
    made = signatures(b"From: a@example.org\r\nX-Y: z\r\nCc: c@d\r\n\r\n", keys, 1_700_000_000)
    assert made.count(b" h=from:from:to:x-y;") == 2
    path.unlink()
    with pytest.raises(MailhiveError, match=r'^dkim\."a": .* cannot be read'):
        read_keys({"a": chosen})

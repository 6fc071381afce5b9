"""What a message can cause that somebody made to cost us something."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.authn.dkim_sign import SigningKey, published, sign
from mailhive.smtp.judging.judge import Judge, Judgement, Origin

MESSAGE = b"From: a@x.example\r\nSubject: x\r\n\r\nHello\r\n"
PRIVATE = Ed25519PrivateKey.generate()


class Everything:
    """A resolver for which every name is there, and leads to others."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def txt(self, name: str) -> list[bytes]:
        self.asked["TXT"] += 1
        if "_domainkey" in name:
            return [published(SigningKey("x", "s", PRIVATE)).encode()] * 100
        if "_dmarc" in name:
            return [b"v=DMARC1; p=reject"]
        return [b"v=spf1 include:a.%{d} mx:b.%{d} ptr exists:%{i}.%{d} redirect=c.%{d}"]

    async def a(self, name: str) -> list[IPv4Address]:
        self.asked["A"] += 1
        return [IPv4Address(n) for n in range(100)]

    async def aaaa(self, name: str) -> list[IPv6Address]:
        self.asked["AAAA"] += 1
        return [IPv6Address(n) for n in range(100)]

    async def mx(self, name: str) -> list[str]:
        self.asked["MX"] += 1
        return [f"{n}.{name}" for n in range(10)]

    async def ptr(self, address: Any) -> list[str]:
        self.asked["PTR"] += 1
        return [f"p{n}.x.example" for n in range(100)]


async def _inline(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


def judged(message: bytes) -> tuple[Judgement, Counter[str]]:
    resolver = Everything()
    judge = Judge(resolver, "mx.here.example", _inline, Clock())
    header, _, body = message.partition(b"\r\n\r\n")
    origin = Origin(ip_address("192.0.2.1"), "helo.example", "a@x.example")
    done: list[Judgement] = []
    judging = judge.judge(origin, header + b"\r\n", lambda: body)
    Deferred.fromCoroutine(judging).addCallback(done.append)
    (judgement,) = done
    return judgement, resolver.asked


def test_policies_that_lead_from_one_to_the_next() -> None:
    judgement, asked = judged(MESSAGE)
    assert {r.result for r in judgement.results if r.method == "spf"} == {"permerror"}
    # For each of two names ten terms (RFC 7208 §4.6.4), some of them with ten names.
    assert asked["TXT"] <= 2 * 11 + 2 and asked["MX"] <= 2 * 10 and asked["A"] <= 2 * 10 * 10


def test_a_hundred_signatures() -> None:
    keys = [SigningKey("x.example", f"s{n}", PRIVATE) for n in range(100)]
    signed = b"".join(sign(MESSAGE, key, now=1_700_000_000) for key in keys) + MESSAGE
    before = judged(MESSAGE)[1]
    judgement, asked = judged(signed)
    results = [r.result for r in judgement.results if r.method == "dkim"]
    assert results == ["pass"] * 10
    assert (asked - before)["TXT"] == 10


def arc_set(number: int) -> bytes:
    validation = "none" if number == 1 else "pass"
    return (
        f"ARC-Seal: i={number}; cv={validation}; a=rsa-sha256; d=d{number}.example; s=s; b=AAAA\r\n"
        f"ARC-Message-Signature: i={number}; a=rsa-sha256; d=e{number}.example; s=s; h=from; "
        f"bh=AAAA; b=AAAA\r\n"
        f"ARC-Authentication-Results: i={number}; x; dmarc=pass header.from=x.example\r\n"
    ).encode()


def test_long_chains() -> None:
    before = judged(MESSAGE)[1]
    longest = b"".join(map(arc_set, range(1, 51)))
    judgement, asked = judged(longest + MESSAGE)
    assert [r.result for r in judgement.results if r.method == "arc"] == ["fail"]
    assert (asked - before)["TXT"] <= 100
    judgement, asked = judged(arc_set(51) + longest + MESSAGE)
    assert [r.result for r in judgement.results if r.method == "arc"] == ["fail"]
    assert asked == before  # nothing is looked up for one that is too long


def test_a_hundred_authors() -> None:
    before = judged(MESSAGE)[1]
    authors = ", ".join(f"a@x{n}.example" for n in range(100))
    judgement, asked = judged(MESSAGE.replace(b"a@x.example", authors.encode()))
    assert judgement.action == "quarantine"
    assert asked["TXT"] <= before["TXT"]
    several = ", ".join(f"a@x{n}.example" for n in range(5))
    _, asked = judged(MESSAGE.replace(b"a@x.example", several.encode()))
    assert (asked - before)["TXT"] <= 2 * 5


def test_a_field_with_all_kinds_of_octets() -> None:
    judgement, _ = judged(
        b"DKIM-Signature: v=1; d=\xff; (((\r\n" * 1_000 + b"ARC-Seal: i=1;\r\n" + MESSAGE
    )
    assert len(judgement.field) < 10_000 and judgement.field.isascii()
